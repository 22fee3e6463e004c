// Command check reads the project's packaging files as the programs do that they are for, in their own code: goreleaser, nfpm, compose, Helm
// and Kubernetes. It is run at the root of the project:
//
//	go -C .ci/check run . ../..  (folder of the project)
//
// With a second argument, a folder, the .deb is written there, with the files that build/ holds and bin/ordergate.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/goreleaser/goreleaser/v2/pkg/config"
	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"helm.sh/helm/v3/pkg/strvals"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// kubeVersions are those that the chart is rendered for: the oldest that it names, and a recent one.
var kubeVersions = []string{"v1.25.0", "v1.34.0"}

// refused are values that the chart must refuse, and a word of its reason.
var refused = map[string]string{
	"replicas=2":             "SQLite",
	"config.demo=true":       "demo",
	"database.type=postgres": "database.existingSecret",
	"database.type=postgres,database.existingSecret=x": "secrets.existingSecret",
	"database.existingSecret=x":                        "postgres",
	"database.type=mysql":                              "database",
	"config.listen=:1":                                 "service.port",
	"config.drain=1s":                                  "drain",
	"drain=5m":                                         "drain",
	"ingress.enabled=true":                             "ingress.hosts",
	"repicas=1":                                        "repicas",
	"extraEnv[0].name=ORDERGATE_DEMO":                  "ORDERGATE_DEMO",
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: check FOLDER [OUT]")
	}
	if err := os.Chdir(args[0]); err != nil {
		return err
	}
	release, err := config.Load(".goreleaser.yaml")
	if err != nil {
		return fmt.Errorf(".goreleaser.yaml: %w", err)
	}
	if release.Version != 2 || len(release.NFPMs) != 1 {
		return errors.New(".goreleaser.yaml: want version 2 and one entry of nfpms")
	}
	fmt.Println(".goreleaser.yaml: every key is one that goreleaser knows")
	if len(args) > 1 {
		if err := makeDeb(release.NFPMs[0], args[1]); err != nil {
			return fmt.Errorf("deb: %w", err)
		}
	}
	if err := checkCompose(); err != nil {
		return fmt.Errorf("compose.yaml: %w", err)
	}
	if err := checkChart("deploy/helm/ordergate"); err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	return nil
}

// makeDeb builds the package from the release's own description of it.
func makeDeb(p config.NFPM, folder string) error {
	contents := files.Contents{{Source: "bin/ordergate", Destination: p.Bindir + "/ordergate", FileInfo: &files.ContentFileInfo{Mode: 0o755}}}
	for _, c := range p.Contents {
		contents = append(contents, &files.Content{
			Source: c.Source, Destination: c.Destination, Type: c.Type, Packager: c.Packager,
			FileInfo: &files.ContentFileInfo{Owner: c.FileInfo.Owner, Group: c.FileInfo.Group, Mode: c.FileInfo.Mode},
		})
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: p.PackageName, Arch: "amd64", Platform: "linux", Version: "0.0.1", Section: p.Section, Maintainer: p.Maintainer, Homepage: p.Homepage,
		Description: p.Description, License: p.License, MTime: time.Unix(0, 0),
		Overridables: nfpm.Overridables{
			Contents: contents, Depends: p.Dependencies, Recommends: p.Recommends, Deb: nfpm.Deb{},
			Scripts: nfpm.Scripts{PreInstall: p.Scripts.PreInstall, PostInstall: p.Scripts.PostInstall, PreRemove: p.Scripts.PreRemove, PostRemove: p.Scripts.PostRemove},
		},
	})
	if err := nfpm.PrepareForPackager(info, "deb"); err != nil {
		return err
	}
	packager, err := nfpm.Get("deb")
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(folder, "ordergate.deb"))
	if err != nil {
		return err
	}
	if err := errors.Join(packager.Package(info, f), f.Close()); err != nil {
		return err
	}
	fmt.Println(f.Name(), "is built")
	return nil
}

// checkCompose loads compose.yaml twice: what it requires must be given, and then it must be right.
func checkCompose() error {
	load := func(env ...string) error {
		options, err := cli.NewProjectOptions([]string{"compose.yaml"}, cli.WithEnv(env))
		if err != nil {
			return err
		}
		_, err = options.LoadProject(context.Background())
		return err
	}
	if err := load("ORDERGATE_KEY=k", "POSTGRES_PASSWORD=p"); err != nil {
		return err
	}
	for given, missing := range map[string]string{"POSTGRES_PASSWORD=p": "ORDERGATE_KEY", "ORDERGATE_KEY=k": "POSTGRES_PASSWORD"} {
		if err := load(given); err == nil || !strings.Contains(err.Error(), missing) {
			return fmt.Errorf("without %s it is taken: %v", missing, err)
		}
	}
	fmt.Println("compose.yaml: loads, and requires its secrets")
	return nil
}

// checkChart renders the chart with its defaults and with each of its ci/ files, and decodes what comes out into Kubernetes' types.
func checkChart(folder string) error {
	c, err := loader.Load(folder)
	if err != nil {
		return err
	}
	sets := map[string]map[string]any{"defaults": {}}
	names, err := filepath.Glob(filepath.Join(folder, "ci", "*-values.yaml"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if sets[filepath.Base(name)], err = chartutil.ReadValuesFile(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		for _, message := range lint.AllWithKubeVersion(folder, sets[name], "default", &chartutil.KubeVersion{Version: kubeVersions[1], Major: "1", Minor: "34"}).Messages {
			if message.Severity >= support.WarningSev {
				return fmt.Errorf("lint, %s: %w", name, message)
			}
		}
		for _, version := range kubeVersions {
			rendered, err := render(c, sets[name], version)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			kinds, err := decode(rendered)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Println("chart:", name, version, strings.Join(kinds, " "))
		}
	}
	for _, set := range slices.Sorted(maps.Keys(refused)) {
		values, err := strvals.Parse(set)
		if err != nil {
			return err
		}
		if _, err := render(c, values, kubeVersions[1]); err == nil || !strings.Contains(err.Error(), refused[set]) {
			return fmt.Errorf("%s is to be refused because of %s: %v", set, refused[set], err)
		}
	}
	fmt.Println("chart: refuses", len(refused), "settings that cannot work")
	return nil
}

func render(c *chart.Chart, values map[string]any, kubeVersion string) (map[string]string, error) {
	capabilities := chartutil.DefaultCapabilities.Copy()
	version, err := chartutil.ParseKubeVersion(kubeVersion)
	if err != nil {
		return nil, err
	}
	capabilities.KubeVersion = *version
	if !chartutil.IsCompatibleRange(c.Metadata.KubeVersion, version.Version) {
		return nil, fmt.Errorf("kubeVersion %s excludes %s", c.Metadata.KubeVersion, version.Version)
	}
	all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: "shop", Namespace: "orders", Revision: 1, IsInstall: true}, capabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

// decode reads manifests strictly: a key that Kubernetes does not know is an error. Kinds of others, as ServiceMonitor, are only named.
func decode(rendered map[string]string) (kinds []string, err error) {
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if filepath.Ext(name) != ".yaml" {
			if name == "ordergate/templates/NOTES.txt" && !strings.Contains(rendered[name], "helm test shop") {
				return nil, fmt.Errorf("%s:\n%s", name, rendered[name])
			}
			continue
		}
		documents := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(rendered[name])))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if strings.TrimSpace(string(document)) == "" {
				continue
			}
			_, kind, err := strict.Decode(document, nil, nil)
			switch {
			case runtime.IsNotRegisteredError(err):
				kinds = append(kinds, kind.Kind+"(not decoded)")
			case err != nil:
				return nil, fmt.Errorf("%s: %w\n%s", name, err, document)
			default:
				kinds = append(kinds, kind.Kind)
			}
		}
	}
	return kinds, nil
}
