//! Looking ids up, and saying what is missing where.

use std::collections::HashMap;

use crate::finding::{Finding, Severity};

use super::document as doc;
use super::version::{
    Assignee, DepartmentIx, EmployeeIx, ListIx, PromptIx, RegionIx, ScheduleIx, SchemeIx, TemplateIx,
};

/// A place in the document: keys from the root.
pub type Place<'a> = &'a [&'a str];

/// Every id of the document with its index, and the findings made so far.
pub struct Names<'d> {
    /// The document.
    pub document: &'d doc::Document,
    /// What is wrong so far.
    pub findings: Vec<Finding>,
    groups: HashMap<&'d str, Result<Vec<EmployeeIx>, ()>>,
}

impl<'d> Names<'d> {
    /// Nothing looked up yet.
    pub fn new(document: &'d doc::Document) -> Self {
        Self { document, findings: Vec::new(), groups: HashMap::new() }
    }

    /// Records an error.
    pub fn error(&mut self, code: &'static str, at: Place<'_>, message: String) {
        self.findings.push(Finding::error(code, at, message));
    }

    /// Records a warning.
    pub fn warning(&mut self, code: &'static str, at: Place<'_>, message: String) {
        self.findings.push(Finding::new(code, Severity::Warning, at, message));
    }

    /// How many errors there are so far.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    fn find<T>(&mut self, ids: &doc::Ids<T>, what: &str, id: &str, at: Place<'_>) -> Option<usize> {
        let found = ids.get_index_of(id);
        if found.is_none() {
            let near = nearest(id, ids.keys().map(String::as_str));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            self.error("unknown_reference", at, format!("there is no {what} `{id}`{hint}"));
        }
        found
    }

    /// The employee.
    pub fn employee(&mut self, id: &str, at: Place<'_>) -> Option<EmployeeIx> {
        self.find(&self.document.employees, "employee", id, at).map(|ix| EmployeeIx(ix as u32))
    }

    /// The department.
    pub fn department(&mut self, id: &str, at: Place<'_>) -> Option<DepartmentIx> {
        self.find(&self.document.departments, "department", id, at).map(|ix| DepartmentIx(ix as u32))
    }

    /// The service type, only to know that it exists.
    pub fn service_type(&mut self, id: &str, at: Place<'_>) {
        self.find(&self.document.service_types, "service type", id, at);
    }

    /// The schedule.
    pub fn schedule(&mut self, id: &str, at: Place<'_>) -> Option<ScheduleIx> {
        self.find(&self.document.schedules, "schedule", id, at).map(|ix| ScheduleIx(ix as u32))
    }

    /// The list.
    pub fn list(&mut self, id: &str, at: Place<'_>) -> Option<ListIx> {
        self.find(&self.document.lists, "list", id, at).map(|ix| ListIx(ix as u32))
    }

    /// The region.
    pub fn region(&mut self, id: &str, at: Place<'_>) -> Option<RegionIx> {
        self.find(&self.document.regions, "region", id, at).map(|ix| RegionIx(ix as u32))
    }

    /// The prompt.
    pub fn prompt(&mut self, id: &str, at: Place<'_>) -> Option<PromptIx> {
        self.find(&self.document.prompts, "prompt", id, at).map(|ix| PromptIx(ix as u32))
    }

    /// The template.
    pub fn template(&mut self, id: &str, at: Place<'_>) -> Option<TemplateIx> {
        self.find(&self.document.templates, "template", id, at).map(|ix| TemplateIx(ix as u32))
    }

    /// The scheme.
    pub fn scheme(&mut self, id: &str, at: Place<'_>) -> Option<SchemeIx> {
        self.find(&self.document.schemes, "scheme", id, at).map(|ix| SchemeIx(ix as u16))
    }

    /// An employee, a department, or (where `owner` is allowed) the owner. Of an id that names several, in this order.
    pub fn assignee(&mut self, id: &str, owner: bool, at: Place<'_>) -> Option<Assignee> {
        if owner && id == "owner" {
            Some(Assignee::Owner)
        } else if let Some(ix) = self.document.employees.get_index_of(id) {
            Some(Assignee::Employee(EmployeeIx(ix as u32)))
        } else if let Some(ix) = self.document.departments.get_index_of(id) {
            Some(Assignee::Department(DepartmentIx(ix as u32)))
        } else {
            self.error("unknown_reference", at, format!("there is no employee or department `{id}`"));
            None
        }
    }

    /// Everybody of a department, in document order.
    pub fn department_members(&self, id: &str) -> Vec<EmployeeIx> {
        self.document
            .employees
            .values()
            .enumerate()
            .filter(|(_, employee)| employee.department.as_deref() == Some(id))
            .map(|(ix, _)| EmployeeIx(ix as u32))
            .collect()
    }

    /// Everybody of a group, each once, in order. `None` for a group with a fault of its own, which is reported once, by
    /// [`Names::check_groups`].
    pub fn group_members(&mut self, id: &str) -> Option<Vec<EmployeeIx>> {
        let (id, group) = self.document.groups.get_key_value(id)?;
        if group.broken {
            return None;
        }
        self.expand(id, &mut Vec::new()).ok()
    }

    /// Expands every group, so that the faults of groups no scheme uses are known too.
    pub fn check_groups(&mut self) {
        for (id, group) in &self.document.groups {
            for member in &group.members {
                let known = self.document.employees.contains_key(member)
                    || self.document.departments.contains_key(member)
                    || self.document.groups.contains_key(member);
                if !known {
                    let message = format!("there is no employee, department or group `{member}`");
                    self.error("unknown_reference", &["groups", id, "members"], message);
                    self.groups.insert(id, Err(()));
                }
            }
            // A cycle is an error once: where its first group, in document order, stands.
            let _ = self.expand(id, &mut Vec::new());
        }
    }

    fn expand(&mut self, id: &'d str, above: &mut Vec<&'d str>) -> Result<Vec<EmployeeIx>, ()> {
        if let Some(known) = self.groups.get(id) {
            return known.clone();
        }
        if let Some(from) = above.iter().position(|&group| group == id) {
            let ring = above[from..].iter().chain([&id]).copied().collect::<Vec<_>>().join(" → ");
            self.error("group_cycle", &["groups", id, "members"], format!("group `{id}` is inside itself: {ring}"));
            self.groups.insert(id, Err(()));
            return Err(());
        }
        above.push(id);
        let mut members = Vec::new();
        let mut sound = true;
        for member in self.document.groups.get(id).map_or(&[][..], |group| &group.members) {
            if let Some(ix) = self.document.employees.get_index_of(member) {
                members.push(EmployeeIx(ix as u32));
            } else if self.document.departments.contains_key(member) {
                members.extend(self.department_members(member));
            } else if let Some((inner, _)) = self.document.groups.get_key_value(member) {
                match self.expand(inner, above) {
                    Ok(inner) => members.extend(inner),
                    Err(()) => sound = false,
                }
            }
        }
        above.pop();
        let mut seen = std::collections::HashSet::new();
        members.retain(|&member| seen.insert(member));
        let result = if sound { Ok(members) } else { Err(()) };
        self.groups.insert(id, result.clone());
        result
    }
}

/// The id most like the one written, if one is like it at all: at most two letters added, dropped or changed.
fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|id| (strsim::levenshtein(written, id), id))
        .filter(|&(edits, id)| edits <= 2 && edits < id.chars().count())
        .min()
        .map(|(_, id)| id)
}
