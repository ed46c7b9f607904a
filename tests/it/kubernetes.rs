//! The Helm chart and the Kustomize example: rendered by a real Helm and a real kubectl, checked against the schemas of
//! Kubernetes, and what they give Ringway to read is a configuration that loads.
//!
//! Needs the Python environment `target/kubernetes`; `tests/run` makes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_yaml::Value;

use crate::deploy::{read, rules};
use crate::support::program;

fn python() -> Option<PathBuf> {
    // Beside that of the Python clients.
    let clients = std::env::var_os("RINGWAY_PYTHON").map(PathBuf::from);
    let target = clients.as_deref().and_then(|python| python.ancestors().nth(3));
    let target = target.map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
        Path::to_owned,
    );
    let python = target.join("kubernetes/bin/python");
    if python.exists() {
        return Some(python);
    }
    program::skip(&format!("{} is not there: tests/run makes it", python.display()));
    None
}

/// The objects of each case, by its name.
fn rendered(folder: &Path, case: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(format!("{case}.yaml"))).expect("it was rendered");
    let documents = serde_yaml::Deserializer::from_str(&text);
    let objects = documents.map(|document| Value::deserialize(document).expect("it is YAML"));
    objects.filter(|object| !object.is_null()).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// The configuration in a ConfigMap, which must load.
fn configuration(objects: &[Value]) -> ringway::config::Config {
    let maps = of_kind(objects, "ConfigMap");
    let mut texts = maps.iter().filter_map(|map| map["data"]["ringway.yaml"].as_str());
    let text = texts.next().expect("a ConfigMap with ringway.yaml");
    ringway::config::parse(text, "ringway.yaml").unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"))
}

#[test]
fn the_chart_and_the_example_are_taken_by_helm_kubectl_and_the_schemas_of_kubernetes() {
    let Some(python) = python() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder for the test");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubernetes/render.py");
    let output = program::output(Command::new(python).arg(script).arg(folder.path()));
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));

    let default = rendered(folder.path(), "default");
    let service = of_kind(&default, "Service")[0];
    let name = service["metadata"]["name"].as_str().expect("a name");
    let from = format!(
        "dnssrvnoa+_{}._tcp.{name}.cache.svc.cluster.local",
        service["spec"]["ports"][0]["name"].as_str().unwrap_or("")
    );
    let config = configuration(&default);
    let discover = config.pools["main"]
        .discover
        .as_ref()
        .expect("it discovers its nodes");
    assert_eq!(discover.from.to_string(), from, "the service that is there");
    assert_eq!(config.listeners[0].bind.to_string(), "127.0.0.1:11211");
    assert!(of_kind(&default, "DaemonSet").is_empty());

    let everything = rendered(folder.path(), "everything");
    assert_eq!(
        configuration(&everything).listeners[0].bind.to_string(),
        "0.0.0.0:11211"
    );
    for kind in ["DaemonSet", "PodDisruptionBudget", "PodMonitor", "ServiceMonitor"] {
        assert_eq!(of_kind(&everything, kind).len(), 1, "{kind}");
    }
    assert_eq!(of_kind(&everything, "NetworkPolicy").len(), 2);
    // A pod that is being terminated leaves the list, and has the time to hand its keys over.
    let memcached = &of_kind(&everything, "StatefulSet")[0]["spec"]["template"]["spec"];
    assert_eq!(memcached["terminationGracePeriodSeconds"], 510);
    assert_eq!(
        memcached["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1],
        "480"
    );
    for (objects, expected) in [(&default, true), (&everything, false)] {
        let mut services = of_kind(objects, "Service").into_iter();
        let named = |service: &&Value| service["metadata"]["name"] == "shop-ringway-memcached";
        let service = services.find(named).expect("the service of memcached");
        assert_eq!(service["spec"]["publishNotReadyAddresses"], expected);
    }
    let monitor = of_kind(&everything, "PodMonitor")[0];
    let relabelings = &monitor["spec"]["podMetricsEndpoints"][0]["relabelings"];
    assert_eq!(
        relabelings[1]["replacement"], "ringway",
        "the job that alerts look for"
    );
    let rule = of_kind(&everything, "PrometheusRule")[0];
    let groups = rule["spec"]["groups"].as_sequence().expect("groups");
    let alerts: Vec<&Value> = groups
        .iter()
        .flat_map(|group| group["rules"].as_sequence().expect("rules"))
        .collect();
    for (name, expression) in rules("alert") {
        let same = alerts.iter().find(|alert| alert["alert"] == name);
        let same = same.unwrap_or_else(|| panic!("{name} is not in the PrometheusRule"));
        assert_eq!(same["expr"], expression, "{name}");
    }
    let boards = of_kind(&everything, "ConfigMap");
    let board = boards.iter().find_map(|map| map["data"]["ringway.json"].as_str());
    assert_eq!(board.map(str::trim), Some(read("grafana/ringway.json").trim()));

    let own = configuration(&rendered(folder.path(), "own-pools"));
    assert_eq!(own.pools["main"].nodes.len(), 2);
    for case in ["parent", "kustomize"] {
        let objects = rendered(folder.path(), case);
        assert!(configuration(&objects).pools["main"].discover.is_some(), "{case}");
        let pod = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"];
        let sidecar = &pod["initContainers"][0];
        assert_eq!(
            (&sidecar["name"], &sidecar["restartPolicy"]),
            (&"ringway".into(), &"Always".into()),
            "{case}"
        );
        let volume = pod["volumes"][0]["configMap"]["name"].as_str().expect("a name");
        let maps = of_kind(&objects, "ConfigMap");
        assert!(
            maps.iter().any(|map| map["metadata"]["name"] == volume),
            "{case}: there is no {volume}"
        );
    }
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart: Value = serde_yaml::from_str(&read("helm/ringway/Chart.yaml")).expect("it is YAML");
    for key in ["version", "appVersion"] {
        assert_eq!(chart[key], env!("CARGO_PKG_VERSION"), "{key}");
    }
    let image = concat!("ringway:", env!("CARGO_PKG_VERSION"));
    assert!(read("kustomize/sidecar/sidecar.yaml").contains(image));
}
