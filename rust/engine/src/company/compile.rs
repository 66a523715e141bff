//! From the document to a company version: every reference resolved, every value read, every fault named.

use std::collections::{HashMap, HashSet};

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::call::state::{MAX_ENDPOINT, MAX_MEMORY};
use crate::directory::{List, ListFiles, Lists, RegionConflict, RegionExtent, Regions};
use crate::finding::Finding;
use crate::number::{Country, Number, Prefix};
use crate::schedule::{self, Schedule};

use super::document as doc;
use super::names::{Names, Place};
use super::nodes::{self, Frame};
use super::version::{
    Assignee, Company, CounterIx, DepartmentIx, Employee, EmployeeIx, Named, NodeIx, Prompt, Scheme, SchemeIx,
    Template, Text, VersionId,
};

/// A compiled document and what is wrong with it. With an error among the findings the company must not be run; the
/// schemes marked `sound` can still be proven.
#[derive(Debug)]
pub struct Compiled {
    /// The version.
    pub company: Company,
    /// Faults of shape and reference, in document order within each section.
    pub findings: Vec<Finding>,
}

/// Compiles a document. Never fails: faults are findings, and leave holes.
#[must_use]
pub fn compile(document: &doc::Document) -> Compiled {
    compile_beside(document, &ListFiles::default())
}

/// Compiles a document beside other versions: lists with a file that they have as well share its numbers.
#[must_use]
pub fn compile_beside(document: &doc::Document, files: &ListFiles) -> Compiled {
    let mut names = Names::new(document);
    let country = country(&mut names);
    let zone = zone(&mut names);
    names.check_groups();
    let employees = employees(&mut names, country);
    departments(&mut names);
    let schedules = schedules(&mut names);
    let lists = lists(&mut names, country, files);
    let regions = regions(&mut names, country);
    let templates = templates(&mut names);
    let prompts = document
        .prompts
        .iter()
        .map(|(id, prompt)| Prompt { id: id.as_str().into(), ms: milliseconds(prompt.seconds) })
        .collect();
    let Schemes { schemes, nodes, counters } = schemes(&mut names, country, &employees);
    let (numbers, default_scheme) = numbers(&mut names, country);
    let employee_index =
        employees.iter().enumerate().map(|(ix, employee)| (employee.id.clone(), EmployeeIx(ix as u32))).collect();
    let company = Company {
        id: VersionId::of(document),
        name: document.company.name.clone(),
        zone,
        country,
        language: document.company.language.clone(),
        employees,
        departments: document
            .departments
            .iter()
            .map(|(id, department)| Named { id: id.as_str().into(), name: department.name.as_str().into() })
            .collect(),
        schedules,
        list_ids: document.lists.keys().map(|id| id.as_str().into()).collect(),
        lists,
        region_ids: document.regions.keys().map(|id| id.as_str().into()).collect(),
        regions,
        prompts,
        templates,
        only_number: numbers.iter().map(|(&number, &scheme)| (number, scheme)).next().filter(|_| numbers.len() == 1),
        numbers,
        default_scheme,
        schemes,
        nodes,
        counters,
        employee_index,
    };
    Compiled { company, findings: names.findings }
}

/// Seconds as written to milliseconds, rounded up: a bound must not be rounded away.
pub(super) fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).ceil().clamp(0.0, 1e12) as u64
}

fn country(names: &mut Names<'_>) -> Country {
    let written = &names.document.company.country;
    Country::parse(written).unwrap_or_else(|| {
        let known = Country::ALL.iter().map(|country| country.code()).collect::<Vec<_>>().join(", ");
        names.error("unknown_country", &["company", "country"], format!("country `{written}` is not one of {known}"));
        Country::Ru
    })
}

fn zone(names: &mut Names<'_>) -> jiff::tz::TimeZone {
    let written = &names.document.company.timezone;
    schedule::time_zone(written).unwrap_or_else(|| {
        names.error("unknown_zone", &["company", "timezone"], format!("there is no IANA time zone `{written}`"));
        jiff::tz::TimeZone::UTC
    })
}

/// Reads a number where a number must stand.
pub(super) fn number(names: &mut Names<'_>, country: Country, written: &str, at: Place<'_>) -> Option<Number> {
    let number = Number::parse(written, country);
    if number.is_none() {
        names.error("bad_number", at, format!("`{written}` is not a telephone number"));
    }
    number
}

fn employees(names: &mut Names<'_>, country: Country) -> Vec<Employee> {
    let document = names.document;
    let mut all = Vec::with_capacity(document.employees.len());
    for (id, employee) in &document.employees {
        let department = employee
            .department
            .as_deref()
            .and_then(|department| names.department(department, &["employees", id, "department"]));
        let mobile =
            employee.mobile.as_deref().and_then(|mobile| number(names, country, mobile, &["employees", id, "mobile"]));
        if employee.endpoint.as_ref().is_some_and(|endpoint| endpoint.is_empty() || endpoint.len() > MAX_ENDPOINT) {
            let message = format!("an endpoint has 1 to {MAX_ENDPOINT} bytes: it travels with the call it answers");
            names.error("out_of_range", &["employees", id, "endpoint"], message);
        }
        if document.departments.contains_key(id) || document.groups.contains_key(id) {
            let message = format!("`{id}` also names a department or a group; among members it is the employee");
            names.warning("ambiguous_id", &["employees", id], message);
        }
        all.push(Employee {
            id: id.as_str().into(),
            name: if employee.name.is_empty() { id.as_str().into() } else { employee.name.as_str().into() },
            rank: employee.rank,
            department,
            endpoint: employee.endpoint.as_deref().map(Into::into),
            mobile,
            email: employee.email.as_deref().map(Into::into),
        });
    }
    all
}

fn departments(names: &mut Names<'_>) {
    let document = names.document;
    for (id, department) in &document.departments {
        for service_type in &department.service_types {
            names.service_type(service_type, &["departments", id, "service_types"]);
        }
        if document.groups.contains_key(id) {
            let message = format!("`{id}` also names a group; among members it is the department");
            names.warning("ambiguous_id", &["departments", id], message);
        }
    }
}

fn schedules(names: &mut Names<'_>) -> Vec<(SmolStr, Schedule)> {
    let document = names.document;
    let mut all = Vec::with_capacity(document.schedules.len());
    for (id, hours) in &document.schedules {
        let schedule = Schedule::compile(hours, &document.company.timezone).unwrap_or_else(|errors| {
            // An unknown zone of the company has been reported at the company.
            for error in errors.iter().filter(|error| !error.path.is_empty()) {
                let mut at = vec!["schedules", id.as_str()];
                at.extend(error.path.iter().map(String::as_str));
                names.error(error.fault.code(), &at, error.to_string());
            }
            Schedule::never()
        });
        all.push((id.as_str().into(), schedule));
    }
    all
}

fn lists(names: &mut Names<'_>, country: Country, files: &ListFiles) -> Lists {
    let mut lists = Vec::with_capacity(names.document.lists.len());
    for (id, list) in &names.document.lists {
        let mut numbers = Vec::new();
        for (ix, written) in list.numbers.iter().enumerate() {
            numbers.extend(number(names, country, written, &["lists", id, "numbers", &ix.to_string()]));
        }
        for (ix, (_, written)) in list.rows.iter().enumerate() {
            numbers.extend(number(names, country, written, &["lists", id, "rows", &ix.to_string()]));
        }
        let prefixes = prefixes(names, country, &list.prefixes, &["lists", id, "prefixes"]);
        let mut compiled = List::new(numbers, prefixes);
        if let Some(packed) = &list.packed {
            match files.get(packed) {
                Some(file) => compiled = compiled.with_file(file),
                None => {
                    names.error("bad_number", &["lists", id, "packed"], "the numbers of its file are damaged".into())
                }
            }
        }
        lists.push(compiled);
    }
    Lists::new(lists)
}

fn prefixes(names: &mut Names<'_>, country: Country, written: &[String], at: Place<'_>) -> Vec<Prefix> {
    let mut all = Vec::with_capacity(written.len());
    for (ix, raw) in written.iter().enumerate() {
        match Prefix::parse(raw, country) {
            Some(prefix) => all.push(prefix),
            None => {
                let ix = ix.to_string();
                let at: Vec<&str> = at.iter().copied().chain([ix.as_str()]).collect();
                names.error("bad_number", &at, format!("`{raw}` is not the beginning of a telephone number"));
            }
        }
    }
    all
}

fn regions(names: &mut Names<'_>, country: Country) -> Regions {
    let mut extents = Vec::with_capacity(names.document.regions.len());
    for (id, region) in &names.document.regions {
        let prefixes = prefixes(names, country, &region.prefixes, &["regions", id, "prefixes"]);
        extents.push(RegionExtent { prefixes, ranges: region.ranges.clone() });
    }
    Regions::compile(&extents).unwrap_or_else(|conflicts| {
        let ids: Vec<&String> = names.document.regions.keys().collect();
        for conflict in conflicts {
            let (region, other) = match conflict {
                RegionConflict::Prefix { first, second, .. } | RegionConflict::Range { first, second, .. } => {
                    (second, format!(": `{}` has it already", ids[first]))
                }
                RegionConflict::NotARange { region, .. } => (region, String::new()),
                _ => (0, String::new()),
            };
            names.error("region_conflict", &["regions", ids[region]], format!("{conflict}{other}"));
        }
        Regions::default()
    })
}

/// Reads a text with variables; its faults are blamed on `at`.
pub(super) fn text(names: &mut Names<'_>, written: &str, at: Place<'_>) -> Text {
    Text::parse(written).unwrap_or_else(|faults| {
        for fault in faults {
            names.error("unknown_variable", at, fault);
        }
        Text::default()
    })
}

fn templates(names: &mut Names<'_>) -> Vec<Template> {
    let mut all = Vec::with_capacity(names.document.templates.len());
    for (id, template) in &names.document.templates {
        let body = text(names, &template.text, &["templates", id, "text"]);
        let subject = template.subject.as_deref().map(|subject| text(names, subject, &["templates", id, "subject"]));
        all.push(Template { id: id.as_str().into(), text: body, subject });
    }
    all
}

fn numbers(names: &mut Names<'_>, country: Country) -> (FxHashMap<Number, SchemeIx>, Option<SchemeIx>) {
    let mut numbers = FxHashMap::default();
    let mut default = None;
    for (written, line) in &names.document.numbers {
        let scheme = names.scheme(&line.scheme, &["numbers", written, "scheme"]);
        if written == "default" {
            default = scheme;
        } else if let Some(did) = number(names, country, written, &["numbers", written])
            && let Some(scheme) = scheme
            && numbers.insert(did, scheme).is_some()
        {
            names.error("duplicate_number", &["numbers", written], format!("{did} is listed already"));
        }
    }
    (numbers, default)
}

struct Schemes {
    schemes: Vec<Scheme>,
    nodes: Vec<super::version::Node>,
    counters: u16,
}

fn schemes(names: &mut Names<'_>, country: Country, employees: &[Employee]) -> Schemes {
    let document = names.document;
    let mut schemes = Vec::with_capacity(document.schemes.len());
    let mut all = Vec::new();
    let mut counters = 0;
    let mut starts = Vec::with_capacity(document.schemes.len());
    let mut first = 0_u32;
    for scheme in document.schemes.values() {
        let start = scheme.nodes.get_index_of(&scheme.start).map(|ix| first + ix as u32);
        starts.push(start.and_then(|ix| u16::try_from(ix).ok()).map_or(NodeIx::NOWHERE, NodeIx));
        first += scheme.nodes.len() as u32;
    }
    if first >= u32::from(NodeIx::NOWHERE.0) {
        names.error("too_complex", &["schemes"], format!("{first} nodes; at most {} can be run", u16::MAX - 1));
        return Schemes { schemes, nodes: all, counters };
    }
    for (id, scheme) in &document.schemes {
        let faults = names.errors();
        let begin = all.len() as u16;
        // Of a frame that the reader refused, nothing is judged again.
        let responsible = (!scheme.broken)
            .then(|| names.assignee(&scheme.responsible, false, &["schemes", id, "responsible"]))
            .flatten()
            .unwrap_or(Assignee::Department(DepartmentIx(0)));
        if !scheme.broken && nobody(names, responsible) {
            let message =
                format!("department `{}` has no employees: nobody owns what nobody else owns", scheme.responsible);
            names.warning("nobody_responsible", &["schemes", id, "responsible"], message);
        }
        let frame = Frame { id, scheme, country, employees, starts: &starts, begin };
        let abandoned = if scheme.broken { None } else { nodes::abandoned(names, &frame) };
        if !scheme.broken && !scheme.nodes.contains_key(&scheme.start) {
            let message = format!("there is no node `{}` to start at", scheme.start);
            names.error("unknown_reference", &["schemes", id, "start"], message);
        }
        let mut own_counters = Vec::new();
        for (node_id, node) in &scheme.nodes {
            let counter = CounterIx(counters + own_counters.len() as u16);
            let node = nodes::compile(names, &frame, node_id, node, counter, schemes.len());
            if matches!(node.step, super::version::Step::Repeat { .. }) {
                own_counters.push(counter);
            }
            all.push(node);
        }
        counters += own_counters.len() as u16;
        tags(names, id, scheme);
        let holes = all[usize::from(begin)..].iter().any(|node| matches!(node.step, super::version::Step::Hole));
        schemes.push(Scheme {
            id: id.as_str().into(),
            start: starts[schemes.len()],
            responsible,
            abandoned,
            nodes: begin..all.len() as u16,
            sound: names.errors() == faults && !scheme.broken && !holes,
        });
    }
    mark_linked(&mut schemes, &all);
    memory(names, &mut schemes, &all);
    Schemes { schemes, nodes: all, counters }
}

/// True for a department that has no employees, holes aside.
fn nobody(names: &Names<'_>, responsible: Assignee) -> bool {
    let Assignee::Department(ix) = responsible else { return false };
    let holes = names.document.employees.values().any(|employee| employee.broken);
    let department = names.document.departments.get_index(ix.at());
    !holes && department.is_some_and(|(id, _)| names.department_members(id).is_empty())
}

/// A scheme that leads into an unsound one is not sound either: nothing can be proven of its calls.
fn mark_linked(schemes: &mut [Scheme], nodes: &[super::version::Node]) {
    loop {
        let unsound: HashSet<SchemeIx> =
            schemes.iter().enumerate().filter(|(_, scheme)| !scheme.sound).map(|(ix, _)| SchemeIx(ix as u16)).collect();
        let mut spread = false;
        for scheme in schemes.iter_mut().filter(|scheme| scheme.sound) {
            let leads = nodes[usize::from(scheme.nodes.start)..usize::from(scheme.nodes.end)]
                .iter()
                .flat_map(|node| &node.exits)
                .any(|exit| exit.to == NodeIx::NOWHERE || unsound.contains(&nodes[exit.to.at()].scheme));
            if leads {
                scheme.sound = false;
                spread = true;
            }
        }
        if !spread {
            return;
        }
    }
}

/// Refuses a scheme whose tags weigh too much.
fn tags(names: &mut Names<'_>, id: &str, scheme: &doc::Scheme) {
    let mut set = HashMap::new();
    let mut last = None;
    for (node, kind) in scheme.nodes.iter().map(|(node, written)| (node, &written.kind)) {
        if let doc::Kind::Tag { set: tags } = kind {
            last = Some(node);
            for (key, value) in tags {
                let longest: &mut usize = set.entry(key.as_str()).or_default();
                *longest = value.len().max(*longest);
            }
        }
    }
    let bytes: usize = set.iter().map(|(key, value)| key.len() + value).sum();
    if let Some(node) = last.filter(|_| bytes > nodes::MAX_TAG_BYTES) {
        let message = format!(
            "the scheme's tags have {bytes} bytes; they travel with the call and may have {}",
            nodes::MAX_TAG_BYTES
        );
        names.error("tags_too_long", &["schemes", id, "nodes", node, "set"], message);
    }
}

/// Refuses a scheme whose calls can pass more `repeat` and `tag` nodes than a state has room for.
fn memory(names: &mut Names<'_>, schemes: &mut [Scheme], nodes: &[super::version::Node]) {
    use super::version::Step;
    for (ix, id) in names.document.schemes.keys().enumerate() {
        let mut reached = HashSet::from([SchemeIx(ix as u16)]);
        let mut open = vec![SchemeIx(ix as u16)];
        let mut bytes = 0;
        while let Some(scheme) = open.pop() {
            let own = &schemes[scheme.at()].nodes;
            for node in &nodes[usize::from(own.start)..usize::from(own.end)] {
                bytes += match node.step {
                    Step::Repeat { .. } => 4,
                    Step::Tag { .. } => 2,
                    _ => 0,
                };
                let exits = node.exits.iter().filter(|exit| exit.to != NodeIx::NOWHERE);
                open.extend(exits.map(|exit| nodes[exit.to.at()].scheme).filter(|&scheme| reached.insert(scheme)));
            }
        }
        if bytes > MAX_MEMORY {
            let message = format!(
                "calls of this scheme would carry {bytes} bytes of `repeat` (4 each) and `tag` (2 each) nodes; \
                 {MAX_MEMORY} travel with a call"
            );
            names.error("state_too_large", &["schemes", id], message);
            schemes[ix].sound = false;
        }
    }
}
