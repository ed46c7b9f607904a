//! The dashboard for Grafana: it has what Grafana reads, and each panel says what it shows.
//!
//! That its queries find something is shown in `prometheus`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::deploy;

fn dashboard() -> Value {
    let text = deploy::read("grafana/ringway.json");
    serde_json::from_str(&text).expect("the dashboard is JSON")
}

/// The panels that show something: all but the headings of rows.
fn panels() -> Vec<Value> {
    let all = dashboard()["panels"].as_array().cloned().expect("panels");
    all.into_iter().filter(|panel| panel["type"] != "row").collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}

/// Every query of panels, variables and annotations, as Grafana sends it if everything is chosen.
pub fn queries() -> impl Iterator<Item = String> {
    let dashboard = dashboard();
    let mut queries = Vec::new();
    for panel in panels() {
        queries.extend(list(&panel["targets"]).map(|target| text(target, "expr").to_owned()));
    }
    for variable in list(&dashboard["templating"]["list"]) {
        if let Some(query) = variable["query"]["query"].as_str() {
            let inner = query
                .strip_prefix("label_values(")
                .and_then(|query| query.rsplit_once(','));
            queries.push(inner.expect("label_values(SELECTOR, LABEL)").0.to_owned());
        }
    }
    queries.into_iter().map(|query| {
        let chosen = query.replace("$__rate_interval", "1m");
        ["$job", "$pool", "$node"]
            .iter()
            .fold(chosen, |query, variable| query.replace(variable, ".*"))
    })
}

#[test]
fn each_panel_has_a_title_a_description_a_unit_thresholds_and_the_chosen_source() {
    let mut titles = BTreeSet::new();
    for panel in panels() {
        let title = text(&panel, "title");
        assert!(titles.insert(title.to_owned()), "two panels are called {title}");
        assert!(
            text(&panel, "description").ends_with('.'),
            "{title} is not described"
        );
        let defaults = &panel["fieldConfig"]["defaults"];
        assert!(!text(defaults, "unit").is_empty(), "{title} has no unit");
        let steps = list(&defaults["thresholds"]["steps"]).count();
        assert!(steps > 0, "{title} has no thresholds");
        for place in list(&panel["targets"]).chain([&panel]) {
            assert_eq!(place["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
    assert!(titles.len() > 30, "{titles:?}");
}

#[test]
fn each_query_is_narrowed_by_the_variables() {
    let dashboard = dashboard();
    let variables: Vec<&str> = list(&dashboard["templating"]["list"])
        .map(|variable| text(variable, "name"))
        .collect();
    assert_eq!(variables, ["datasource", "job", "pool", "node"]);
    for panel in panels() {
        for target in list(&panel["targets"]) {
            let query = text(target, "expr");
            let selectors = query.matches('{').count();
            assert!(
                selectors > 0 && query.matches("{job=~\"$job\"").count() == selectors,
                "{query}"
            );
        }
    }
}

#[test]
fn no_panel_lies_over_another_and_each_has_a_number_of_its_own() {
    let dashboard = dashboard();
    let (mut numbers, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in list(&dashboard["panels"]) {
        let title = text(panel, "title");
        assert!(
            numbers.insert(panel["id"].as_u64()),
            "the number of {title} is taken"
        );
        let side = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
        assert!(side("x") + side("w") <= 24, "{title} is too wide");
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(cells.insert((x, y)), "{title} lies over another panel");
            }
        }
    }
}

#[test]
fn each_runbook_that_a_panel_names_is_that_of_an_alert() {
    let alerts: BTreeSet<String> = deploy::rules("alert").map(|(name, _)| name).collect();
    let mut named = 0;
    for panel in panels() {
        let words = text(&panel, "description").split(|c: char| !c.is_ascii_alphanumeric());
        for word in words.filter(|word| word.len() > 7 && word.starts_with("Ringway")) {
            assert!(alerts.contains(word), "there is no alert {word}");
            named += 1;
        }
    }
    assert!(named > 10);
}
