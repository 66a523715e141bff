//! Every scenario of `tests/scenarios/`, turn by turn: the same files that pytest runs (their form is told in
//! `tests/scenario_files.py`), over the engine documents kept beside them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test's helpers fail the test

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use kommutator_engine::company::{Document, compile};
use kommutator_engine::floor::{Line, Presence};
use kommutator_engine::{Engine, Event};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: String,
    #[serde(rename = "branch")]
    _branch: String,
    #[serde(default = "call_id")]
    call: String,
    did: String,
    caller: Option<String>,
    at: String,
    #[serde(default)]
    floor: Floor,
    #[serde(default)]
    owners: BTreeMap<String, Option<String>>,
    #[serde(default)]
    called: BTreeMap<String, String>,
    steps: Vec<Step>,
    /// For those who play the call by a PBX.
    #[serde(default, rename = "real")]
    _real: Option<Value>,
}

type Floor = BTreeMap<String, Facts>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    presence: Option<Presence>,
    line: Option<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default)]
    floor: Floor,
    event: Option<serde_json::Map<String, Value>>,
    expect: Value,
    #[serde(default)]
    trace: Vec<(String, String)>,
    #[serde(default)]
    effects: Vec<Value>,
}

fn call_id() -> String {
    "scenario".into()
}

#[test]
fn every_call_goes_as_expected() {
    let mut folders: Vec<PathBuf> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("scenarios.yaml").exists())
        .collect();
    folders.sort();
    let mut played = 0;
    let mut wrong = Vec::new();
    for folder in folders {
        let document: Document = serde_json::from_slice(&fs::read(folder.join("company.json")).unwrap()).unwrap();
        let compiled = compile(&document);
        assert!(compiled.findings.is_empty(), "{}: {:#?}", folder.display(), compiled.findings);
        let company = Arc::new(compiled.company);
        let text = fs::read_to_string(folder.join("scenarios.yaml")).unwrap();
        let scenarios: Vec<Scenario> = serde_saphyr::from_str(&text).unwrap();
        for scenario in scenarios {
            played += 1;
            if let Err(what) = play(&mut Engine::new(Arc::clone(&company)), &scenario) {
                wrong.push(format!("{}: {}: {what}", folder.file_name().unwrap().display(), scenario.name));
            }
        }
    }
    assert!(played >= 60, "only {played} scenarios");
    assert!(wrong.is_empty(), "{} of {played} scenarios go otherwise:\n{}", wrong.len(), wrong.join("\n"));
}

fn play(engine: &mut Engine, scenario: &Scenario) -> Result<(), String> {
    for (number, employee) in &scenario.owners {
        engine.owner_is(number, employee.as_deref()).unwrap();
    }
    for (number, moment) in &scenario.called {
        engine.called(number, moment_ms(moment)).unwrap();
    }
    set_floor(engine, &scenario.floor);
    let mut now_ms = moment_ms(&scenario.at);
    let mut state = Vec::new();
    for (ix, step) in scenario.steps.iter().enumerate() {
        set_floor(engine, &step.floor);
        let turn = match &step.event {
            None => engine.arrive(&scenario.call, &scenario.did, scenario.caller.as_deref(), now_ms),
            Some(event) => {
                let mut event = event.clone();
                let after = event.remove("after").and_then(|after| after.as_f64()).unwrap_or_default();
                now_ms += (after * 1000.0).round() as i64;
                let event: Event = serde_json::from_value(Value::Object(event)).map_err(|error| error.to_string())?;
                engine.handle(&state, &event, now_ms)
            }
        };
        let turn = turn.map_err(|error| format!("step {ix}: {error}"))?;
        let said = serde_json::to_value(&turn).unwrap();
        let told = |what: &str| format!("step {ix}: {what}\n  seen {said}");
        if !fits(&seen_action(&said["action"]), &step.expect) {
            return Err(told(&format!("expected {}", step.expect)));
        }
        let trace: Vec<_> =
            turn.trace.iter().map(|passed| (passed.node.to_string(), passed.exit.to_string())).collect();
        if trace != step.trace {
            return Err(told(&format!("expected trace {:?}", step.trace)));
        }
        let effects = said["effects"].as_array().unwrap();
        let fit = effects.iter().zip(&step.effects).all(|(effect, expected)| fits(effect, expected));
        if effects.len() != step.effects.len() || !fit {
            return Err(told(&format!("expected effects {:?}", step.effects)));
        }
        let resumed = engine.resume(&turn.state, now_ms).map_err(|error| told(&error.to_string()))?;
        if resumed.action != turn.action {
            return Err(told(&format!("resumed {:?}", resumed.action)));
        }
        state = turn.state;
    }
    Ok(())
}

fn set_floor(engine: &mut Engine, floor: &Floor) {
    for (employee, facts) in floor {
        if let Some(presence) = facts.presence {
            engine.presence(employee, presence).unwrap();
        }
        if let Some(line) = facts.line {
            engine.line(employee, line).unwrap();
        }
    }
}

fn moment_ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

/// An action as scenarios write it: endpoints by their addresses.
fn seen_action(action: &Value) -> Value {
    let mut action = action.clone();
    if let Some(endpoints) = action.get("endpoints").and_then(Value::as_array) {
        action["endpoints"] = json!(endpoints.iter().map(|endpoint| &endpoint["endpoint"]).collect::<Vec<_>>());
    }
    action
}

/// Whether every field expected is there with its value. 3 is 3.0.
fn fits(seen: &Value, expected: &Value) -> bool {
    match (seen, expected) {
        (Value::Object(seen), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| seen.get(key).is_some_and(|seen| fits(seen, value)))
        }
        (Value::Array(seen), Value::Array(expected)) => {
            seen.len() == expected.len() && seen.iter().zip(expected).all(|(seen, expected)| fits(seen, expected))
        }
        (Value::Number(seen), Value::Number(expected)) => seen.as_f64() == expected.as_f64(),
        _ => seen == expected,
    }
}
