//! What ships the program: the files under `deploy/` are accepted by the tools that will read them, and
//! name only what Ringway has.
//!
//! Needs promtool and systemd-analyze (Debian packages prometheus and systemd); `tests/run` installs them.
//! The Dockerfile is not built here: a test has no network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_yaml::Value;

use crate::support::certificates::Authority;
use crate::support::diagnostics::diagnostics;
use crate::support::metric_names::{is_metric, metrics_in};
use crate::support::program;

#[test]
fn the_pods_configuration_loads_and_is_mounted_where_it_is_read() {
    let documents = documents("kubernetes/pod.yaml");
    let of_kind = |kind: &str| {
        documents
            .iter()
            .find(|document| document["kind"] == kind)
            .unwrap_or_else(|| panic!("pod.yaml has no {kind}"))
    };
    let config = of_kind("ConfigMap")["data"]["ringway.yaml"].as_str();
    let config = config.expect("the ConfigMap has a ringway.yaml");
    if let Err(mistakes) = ringway::config::parse(config, "ringway.yaml") {
        panic!("the ConfigMap in pod.yaml does not load: {mistakes:?}");
    }

    let sidecar = &of_kind("Deployment")["spec"]["template"]["spec"]["initContainers"][0];
    assert_eq!(sidecar["restartPolicy"], "Always", "what makes it a sidecar");
    let image = concat!("ringway:", env!("CARGO_PKG_VERSION"));
    assert_eq!(sidecar["image"], image, "the image is that of this version");
    let mount = &sidecar["volumeMounts"][0];
    assert!(
        mount.get("subPath").is_none(),
        "a subPath mount never sees an update"
    );
    let folder = mount["mountPath"].as_str().expect("a mount has a path");
    let file = format!("{folder}/ringway.yaml");
    assert!(
        sidecar["args"]
            .as_sequence()
            .is_some_and(|args| args.contains(&Value::from(file))),
        "ringway reads what is mounted"
    );
    for (probe, path) in [
        ("startupProbe", "/readyz"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ] {
        assert_eq!(sidecar[probe]["httpGet"]["path"], path, "{probe}");
    }
}

#[test]
fn the_pod_runs_the_configuration_that_is_shown_for_kubernetes() {
    let documents = documents("kubernetes/pod.yaml");
    let map = documents.iter().find(|document| document["kind"] == "ConfigMap");
    let config = map.and_then(|map| map["data"]["ringway.yaml"].as_str());
    let parse = |text: &str| ringway::config::parse(text, "ringway.yaml").expect("it loads");
    let shown = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/kubernetes.yaml"));
    assert_eq!(
        parse(config.expect("a configuration")),
        parse(&shown.expect("readable"))
    );
}

#[test]
fn the_service_with_tls_loads_with_the_files_of_its_secret_and_reads_what_is_mounted() {
    let documents = documents("kubernetes/tls.yaml");
    let of_kind = |kind: &str| {
        let found = documents.iter().find(|document| document["kind"] == kind);
        found.unwrap_or_else(|| panic!("tls.yaml has no {kind}"))
    };
    let authority = Authority::new();
    authority.pair("tls", &["ringway.cache.svc"]);
    let mounted = "/run/ringway/tls";
    let config = of_kind("ConfigMap")["data"]["ringway.yaml"].as_str();
    let config = config.expect("the ConfigMap has a ringway.yaml");
    assert!(config.contains(&format!("{mounted}/tls.crt")));
    let config = config.replace(mounted, &authority.folder().display().to_string());
    assert_eq!(diagnostics(&config), "fine");

    let pod = &of_kind("Deployment")["spec"]["template"]["spec"];
    let mounts = pod["containers"][0]["volumeMounts"].as_sequence().cloned();
    let mount = mounts
        .into_iter()
        .flatten()
        .find(|mount| mount["mountPath"] == mounted);
    let mount = mount.expect("the Secret is mounted");
    assert!(
        mount.get("subPath").is_none(),
        "a subPath mount never sees an update"
    );
    let secret = &of_kind("Certificate")["spec"]["secretName"];
    assert_eq!(&pod["volumes"][1]["secret"]["secretName"], secret);
    let image = concat!("ringway:", env!("CARGO_PKG_VERSION"));
    assert_eq!(pod["containers"][0]["image"], image);
}

#[test]
fn the_network_policy_names_every_port_but_opens_the_admin_port_to_prometheus_only() {
    let documents = documents("kubernetes/pod.yaml");
    let policy = documents
        .iter()
        .find(|document| document["kind"] == "NetworkPolicy");
    let rules = policy.expect("a policy")["spec"]["ingress"]
        .as_sequence()
        .cloned();
    let allows = |port: u64, prometheus: bool| {
        rules.iter().flatten().any(|rule| {
            let ports = rule["ports"].as_sequence().into_iter().flatten();
            let mut tcp = ports.filter(|range| range["protocol"] == "TCP");
            let is_within = |range: &Value| {
                let first = range["port"].as_u64().expect("a port");
                (first..=range["endPort"].as_u64().unwrap_or(first)).contains(&port)
            };
            (prometheus || rule.get("from").is_none()) && tcp.any(is_within)
        })
    };
    for port in [1, 80, 8080, 9154, 9156, 65535] {
        assert!(allows(port, false), "{port}");
    }
    assert!(allows(9155, true) && !allows(9155, false));
}

/// Cargo reads the whole manifest before it builds the dependencies, so each target must be there.
#[test]
fn the_image_builds_its_dependencies_first_with_a_stub_of_each_target() {
    let manifest = include_str!("../../Cargo.toml");
    let dockerfile = read("Dockerfile");
    let paths = manifest.lines().filter_map(|line| line.strip_prefix("path = \""));
    for path in paths.map(|path| path.trim_end_matches('"')) {
        assert!(dockerfile.contains(path), "the Dockerfile has no stub of {path}");
    }
}

#[test]
fn every_configuration_that_is_shipped_loads() {
    for path in [
        "debian/ringway.yaml",
        "kustomize/base/ringway.yaml",
        "demo/ringway.yaml",
    ] {
        if let Err(mistakes) = ringway::config::parse(&read(path), path) {
            panic!("{path}: {mistakes}");
        }
    }
}

#[test]
fn the_pages_name_the_files_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let page = include_str!("../../docs/install.md");
    for file in [
        format!("ringway-{version}-x86_64-linux.tar.gz"),
        format!("ringway_{version}-1_amd64.deb"),
        format!("ringway-{version}-oci.tar"),
        format!("ringway-{version}.tgz"),
    ] {
        assert!(page.contains(&file), "docs/install.md does not name {file}");
    }
}

#[test]
fn every_yaml_file_is_well_formed() {
    let files = files();
    let yaml = files
        .iter()
        .filter(|path| path.ends_with(".yaml") || path.ends_with(".yml"));
    let count = yaml
        .map(|path| documents(path))
        .filter(|documents| !documents.is_empty())
        .count();
    assert_eq!(count, 15, "{files:?}");
}

#[test]
fn every_metric_that_is_named_exists() {
    let mut named = 0;
    for file in files() {
        for (line, text) in read(&file).lines().enumerate() {
            for metric in metrics_in(text) {
                assert!(
                    is_metric(metric),
                    "deploy/{file}:{}: there is no metric {metric}",
                    line + 1
                );
                named += 1;
            }
        }
    }
    assert!(named > 0, "no metric is named under deploy");
}

#[test]
fn prometheus_takes_the_alerts_and_each_speaks_when_it_must() {
    run(Command::new("promtool").args(["check", "rules", "deploy/prometheus/alerts.yml"]));
    run(Command::new("promtool").args(["test", "rules", "deploy/prometheus/alerts_test.yml"]));
    let tests = read("prometheus/alerts_test.yml");
    for (alert, _) in rules("alert") {
        assert!(
            tests.contains(&format!("alertname: {alert}")),
            "no test shows {alert}"
        );
    }
}

#[test]
fn each_alert_leads_to_its_section_of_the_runbook_and_each_section_is_of_an_alert() {
    let runbook = include_str!("../../docs/runbook.md");
    let sections: Vec<&str> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let alerts: Vec<String> = rules("alert").map(|(name, _)| name).collect();
    assert_eq!(sections, alerts, "in the order of alerts.yml");
    let text = read("prometheus/alerts.yml");
    for alert in alerts {
        let section = format!("runbook_url: docs/runbook.md#{}\n", alert.to_lowercase());
        assert_eq!(text.matches(&section).count(), 1, "{section}");
    }
}

#[test]
fn prometheus_takes_the_scrape_configuration() {
    // Debian builds promtool without Kubernetes discovery; the rest of that job is checked all the same.
    let text = read("prometheus/scrape.yml");
    let discovery = "kubernetes_sd_configs: [{role: pod}]";
    assert!(text.contains(discovery));
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("scrape.yml");
    fs::write(&file, text.replace(discovery, "static_configs: [{targets: []}]")).expect("it is writable");
    fs::copy(deploy("prometheus/alerts.yml"), folder.path().join("alerts.yml")).expect("it is writable");
    run(Command::new("promtool").args(["check", "config"]).arg(file));
}

#[test]
fn systemd_takes_the_unit_and_finds_it_hardened() {
    // systemd looks for the program, which is installed on no test machine.
    let text = read("systemd/ringway.service");
    let installed = "=ringway ";
    assert_eq!(text.matches(installed).count(), 2);
    let here = format!("={} ", env!("CARGO_BIN_EXE_ringway"));
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("ringway.service");
    fs::write(&file, text.replace(installed, &here)).expect("it is writable");
    fs::copy(
        deploy("systemd/ringway.socket"),
        folder.path().join("ringway.socket"),
    )
    .expect("it is writable");
    let more = folder.path().join("ringway.service.d");
    fs::create_dir(&more).expect("it is writable");
    fs::copy(deploy("systemd/credentials.conf"), more.join("credentials.conf")).expect("it is writable");
    run(Command::new("systemd-analyze").arg("verify").arg(&file));
    run(Command::new("systemd-analyze")
        .arg("verify")
        .arg(folder.path().join("ringway.socket")));
    // Exposure in tenths, 0 (none) to 100.
    run(Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=20"])
        .arg(&file));
}

#[test]
fn the_image_is_built_with_the_rust_that_the_crate_asks_for() {
    let toolchain = include_str!("../../rust-toolchain.toml");
    let version = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = "))
        .expect("a channel")
        .trim_matches('"');
    assert!(
        version.starts_with(concat!(env!("CARGO_PKG_RUST_VERSION"), ".")),
        "{version} is not of the crate's rust-version"
    );
    let image = format!("ARG RUST_IMAGE=rust:{version}-");
    assert!(
        read("Dockerfile").contains(&image),
        "the Dockerfile has no {image}"
    );
}

/// Runs a checker from the crate's root and fails with what it said unless it was content.
fn run(command: &mut Command) {
    let output = program::output(command.current_dir(env!("CARGO_MANIFEST_DIR")));
    assert!(
        output.status.success(),
        "{command:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The rules of alerts.yml of a kind, `alert` or `record`: name and expression.
pub fn rules(kind: &str) -> impl Iterator<Item = (String, String)> {
    let groups = documents("prometheus/alerts.yml")[0]["groups"].clone();
    let rules = groups.as_sequence().expect("groups").iter().flat_map(|group| {
        let rules = group["rules"].as_sequence().expect("rules").iter();
        rules.filter_map(|rule| {
            let expression = rule["expr"].as_str().expect("an expression");
            Some((rule[kind].as_str()?.to_owned(), expression.to_owned()))
        })
    });
    rules.collect::<Vec<_>>().into_iter()
}

fn documents(path: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(&read(path))
        .map(|document| Value::deserialize(document).unwrap_or_else(|error| panic!("deploy/{path}: {error}")))
        .collect()
}

/// The files under `deploy`, by their paths in it.
fn files() -> Vec<String> {
    let mut files = Vec::new();
    let folders = [
        "",
        "kubernetes",
        "kustomize/base",
        "kustomize/sidecar",
        "kustomize/example",
    ];
    for folder in folders
        .into_iter()
        .chain(["systemd", "prometheus", "grafana", "debian", "demo"])
    {
        for entry in fs::read_dir(deploy(folder)).expect("deploy is readable") {
            let path = entry.expect("deploy is readable").path();
            if path.is_file() {
                let inside = path.strip_prefix(deploy("")).expect("it lies under deploy");
                files.push(inside.to_str().expect("paths are UTF-8").to_owned());
            }
        }
    }
    files.sort();
    files
}

/// The text of a file under `deploy`.
pub fn read(path: &str) -> String {
    fs::read_to_string(deploy(path)).unwrap_or_else(|error| panic!("deploy/{path}: {error}"))
}

/// The path of a file under `deploy`.
pub fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}
