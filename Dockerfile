# The image: one static binary, certificates, time zones. No shell, no package manager, not root.
#
#   docker build --build-arg VERSION=1.2.3 --build-arg REVISION=$(git rev-parse HEAD) -t ordergate .
#   docker run --name ordergate -p 8787:8787 -p 127.0.0.1:8788:8788 -v ordergate:/data ordergate
#
# Needs BuildKit (Docker 23 or newer) or buildah. Releases use the stage "release", with binaries that are already built.

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
# In China: --build-arg GOPROXY=https://goproxy.cn,direct
ARG GOPROXY
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION=dev REVISION=unknown
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=$VERSION -X main.revision=$REVISION" -o /out/ordergate ./cmd/ordergate

# What is in the image beside the binary. /data and /tmp are made here: scratch has no mkdir.
FROM --platform=$BUILDPLATFORM golang:1.26 AS files
RUN mkdir -p /root-fs/etc/ordergate /root-fs/etc/ssl/certs /root-fs/usr/share/zoneinfo /root-fs/data /root-fs/tmp \
 && cp /etc/ssl/certs/ca-certificates.crt /root-fs/etc/ssl/certs/ \
 && cp /usr/local/go/lib/time/zoneinfo.zip /root-fs/usr/share/zoneinfo/ \
 && echo 'log_format: json' >/root-fs/etc/ordergate/ordergate.yaml \
 && echo 'ordergate:x:65532:65532:Ordergate:/data:/nonexistent' >/root-fs/etc/passwd \
 && echo 'ordergate:x:65532:' >/root-fs/etc/group \
 && chown 65532:65532 /root-fs/data && chmod 0700 /root-fs/data && chmod 1777 /root-fs/tmp

FROM scratch AS root
COPY --from=files /root-fs/ /
# Settings: mount a file in place of this one. The addresses are the environment's, which wins over the file, because in a container they are
# those of the container: without a host the ports are open on all of them, IPv4 and IPv6. A flag wins over both.
ENV ORDERGATE_CONFIG=/etc/ordergate/ordergate.yaml ORDERGATE_LISTEN=:8787 ORDERGATE_ADMIN=:8788 ZONEINFO=/usr/share/zoneinfo/zoneinfo.zip
USER 65532:65532
# The default database is sqlite:ordergate.db in this folder, with its key and admin token beside it.
WORKDIR /data
VOLUME /data
EXPOSE 8787 8788
# Asks /readyz on the admin port. With another port: -e ORDERGATE_SERVER=http://127.0.0.1:PORT
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/ordergate", "healthy"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/ordergate"]
CMD ["serve"]

FROM root AS release
ARG TARGETPLATFORM
COPY $TARGETPLATFORM/ordergate /ordergate

FROM root
COPY --from=build /out/ordergate /ordergate
