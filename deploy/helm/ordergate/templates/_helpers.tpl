{{- define "ordergate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 50 characters leave room for -config-0123456789 and the names of pods. */}}
{{- define "ordergate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "ordergate.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "ordergate.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ordergate.selector" -}}
app.kubernetes.io/name: {{ include "ordergate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ordergate.labels" -}}
{{ include "ordergate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "ordergate.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ordergate.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "ordergate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The file of settings: the user's, and what the chart decides. */}}
{{- define "ordergate.config" -}}
{{- $own := dict "drain" .Values.drain -}}
{{- if eq .Values.database.type "sqlite" -}}{{- $_ := set $own "database" "sqlite:/data/ordergate.db" -}}{{- end -}}
{{- if .Values.secrets.existingSecret -}}
{{- $_ := set $own "key_file" (printf "/run/secrets/ordergate/%s" .Values.secrets.key) -}}
{{- if .Values.secrets.adminToken -}}{{- $_ := set $own "admin_token_file" (printf "/run/secrets/ordergate/%s" .Values.secrets.adminToken) -}}{{- end -}}
{{- end -}}
{{- if .Values.tls.existingSecret -}}
{{- $_ := set $own "tls_cert" "/run/secrets/tls/tls.crt" -}}
{{- $_ := set $own "tls_key" "/run/secrets/tls/tls.key" -}}
{{- end -}}
{{- toYaml (merge $own .Values.config) -}}
{{- end -}}

{{/* Refuses what cannot work. */}}
{{- define "ordergate.check" -}}
{{- if and (eq .Values.database.type "sqlite") (gt (int .Values.replicas) 1) -}}
{{- fail (printf "replicas: %d with SQLite: a ledger in SQLite is served by one process. Set replicas to 1, or database.type to postgres." (int .Values.replicas)) -}}
{{- end -}}
{{- if eq .Values.database.type "postgres" -}}
{{- if not .Values.database.existingSecret -}}
{{- fail "database.existingSecret: name a Secret with the URL of PostgreSQL: kubectl create secret generic ordergate-database --from-literal=url=postgres://USER:PASSWORD@HOST/DATABASE" -}}
{{- end -}}
{{- if not .Values.secrets.existingSecret -}}
{{- fail "secrets.existingSecret: with PostgreSQL the key must be given, the same to every process: kubectl create secret generic ordergate --from-literal=key=$(openssl rand -base64 32) --from-literal=admin-token=$(openssl rand -hex 24)" -}}
{{- end -}}
{{- else if .Values.database.existingSecret -}}
{{- fail "database.existingSecret is for PostgreSQL: set database.type to postgres" -}}
{{- end -}}
{{- if hasKey .Values.config "demo" -}}
{{- fail "config.demo: the demo listens on loopback only, its secrets are published" -}}
{{- end -}}
{{- $chart := dict "listen" "service.port" "admin" "adminService.port" "database" "database" "key" "secrets" "key_file" "secrets" "admin_token" "secrets" "admin_token_file" "secrets" "drain" "drain" "tls_cert" "tls" "tls_key" "tls" -}}
{{- range $key, $value := .Values.config -}}
{{- if hasKey $chart $key -}}
{{- fail (printf "config.%s: the chart decides it; set %s instead" $key (get $chart $key)) -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "ORDERGATE_DEMO" "ORDERGATE_LISTEN" "ORDERGATE_ADMIN" "ORDERGATE_CONFIG" "ORDERGATE_DATABASE" "ORDERGATE_DRAIN") -}}
{{- fail (printf "extraEnv: %s would override the chart" .name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: name at least one host" -}}
{{- end -}}
{{- end -}}

{{/* What the Deployment's pods and the StatefulSet's have in common. */}}
{{- define "ordergate.pod" -}}
metadata:
  labels:
    {{- include "ordergate.labels" . | nindent 4 }}
    app.kubernetes.io/component: gateway
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "ordergate.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "ordergate.serviceAccount" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false # they would be environment variables that begin with ORDERGATE_
  terminationGracePeriodSeconds: {{ add 45 (trimSuffix "s" .Values.drain | int) }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  containers:
    - name: ordergate
      image: {{ include "ordergate.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve]
      env:
        - {name: ORDERGATE_CONFIG, value: /etc/ordergate/ordergate.yaml}
        - {name: ORDERGATE_LISTEN, value: ":8787"}
        - {name: ORDERGATE_ADMIN, value: ":8788"}
        {{- if eq .Values.database.type "postgres" }}
        - name: ORDERGATE_DATABASE
          valueFrom:
            secretKeyRef:
              name: {{ .Values.database.existingSecret }}
              key: {{ .Values.database.existingSecretKey }}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .Values.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - {name: protocol, containerPort: 8787}
        - {name: admin, containerPort: 8788}
      startupProbe:
        httpGet: {path: /healthz, port: admin}
        {{- toYaml .Values.startupProbe | nindent 8 }}
      livenessProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        periodSeconds: 3
        timeoutSeconds: 3
        failureThreshold: 2
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - {name: config, mountPath: /etc/ordergate, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        - {name: data, mountPath: /data}
        {{- if .Values.secrets.existingSecret }}
        - {name: secrets, mountPath: /run/secrets/ordergate, readOnly: true}
        {{- end }}
        {{- if .Values.tls.existingSecret }}
        - {name: tls, mountPath: /run/secrets/tls, readOnly: true}
        {{- end }}
  volumes:
    - name: config
      {{- if eq .Values.configIn "Secret" }}
      secret: {secretName: {{ include "ordergate.fullname" . }}-config, defaultMode: 0440}
      {{- else }}
      configMap: {name: {{ include "ordergate.fullname" . }}-config, defaultMode: 0440}
      {{- end }}
    - name: tmp
      emptyDir: {}
    {{- if eq .Values.database.type "postgres" }}
    - name: data
      emptyDir: {}
    {{- else if .Values.persistence.existingClaim }}
    - name: data
      persistentVolumeClaim: {claimName: {{ .Values.persistence.existingClaim }}}
    {{- end }}
    {{- with .Values.secrets.existingSecret }}
    - name: secrets
      secret:
        secretName: {{ . }}
        defaultMode: 0440
        items:
          - {key: {{ $.Values.secrets.key }}, path: {{ $.Values.secrets.key }}}
          {{- with $.Values.secrets.adminToken }}
          - {key: {{ . }}, path: {{ . }}}
          {{- end }}
    {{- end }}
    {{- with .Values.tls.existingSecret }}
    - name: tls
      secret: {secretName: {{ . }}, defaultMode: 0440}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if gt (int .Values.replicas) 1 }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "ordergate.selector" . | nindent 10 }}
  {{- end }}
{{- end -}}
