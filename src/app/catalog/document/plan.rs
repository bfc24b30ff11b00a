//! One plan of a document.

use super::billing::{self, Shape};
use super::report::{FieldReport, PlanReport, shown};
use super::yaml::Node;
use super::{NO_SLUG, description_field, line_field, not_billing, slug_of, slug_taken};
use crate::domain::catalog::{PlanContent, TITLE_MAX_CHARS};
use crate::domain::pricing::Pricing;
use crate::domain::slug::Slug;

/// Reads a plan; `taken` are the slugs of the document's other plans.
pub(super) fn read(
    name: &str,
    node: &Node,
    mut taken: impl Iterator<Item = Slug>,
) -> (Option<PlanContent>, PlanReport) {
    let mut fields = Vec::new();
    let id = match slug_of(name) {
        None => {
            fields.push(FieldReport::refused("name", NO_SLUG));
            None
        }
        Some(slug) if taken.any(|other| other == slug) => {
            let reason = "Another plan would have the same name when written as names are here.";
            fields.push(FieldReport::refused("name", reason));
            None
        }
        Some(slug) => {
            fields.push(slug_taken("name", name, &slug));
            Some(slug)
        }
    };
    let content = read_fields(id.clone(), name, node, &mut fields);
    let pricing = content.as_ref().map(|content| &content.pricing);
    let report = PlanReport {
        name: shown(name),
        id: id.map(|id| id.to_string()),
        model: pricing.map(|pricing| pricing.model().to_owned()),
        needs_payment_method: pricing.map(Pricing::needs_payment_method),
        fields,
    };
    (content, report)
}

fn read_fields(
    id: Option<Slug>,
    name: &str,
    node: &Node,
    fields: &mut Vec<FieldReport>,
) -> Option<PlanContent> {
    if node.entries().is_none() && !node.is_null() {
        fields.push(FieldReport::refused("plan", "Must be a mapping."));
        return None;
    }
    for (key, _) in node.entries().unwrap_or_default() {
        match key.as_str() {
            "title" | "description" | "approval" | "billing" | "billing-model" => {}
            "rate-limit" | "rate-limits" | "burst-limits" | "assembly-burst-limits" => {
                let reason = "Limits of calls are kept by the gateway.";
                fields.push(FieldReport::ignored(key.as_str(), reason));
            }
            other => fields.push(not_billing(other)),
        }
    }
    let title = match node.get("title") {
        None => Some(shown(name)),
        title => line_field("title", title, TITLE_MAX_CHARS, fields),
    };
    let description = description_field("description", node.get("description"), fields);
    let approval_required = approval(node.get("approval"), fields);
    let pricing = pricing(node, fields);
    Some(PlanContent {
        id: id?,
        title: title?,
        description: description?,
        approval_required: approval_required?,
        pricing: pricing?,
    })
}

fn approval(node: Option<&Node>, fields: &mut Vec<FieldReport>) -> Option<bool> {
    let Some(node) = node else {
        return Some(false);
    };
    let found = match node.text() {
        Some("true" | "True" | "TRUE") => Some(true),
        Some("false" | "False" | "FALSE") => Some(false),
        _ => None,
    };
    fields.push(match found {
        Some(true) => FieldReport::taken("approval", "true"),
        Some(false) => FieldReport::taken("approval", "false"),
        None => FieldReport::refused("approval", "Must be true or false."),
    });
    found
}

fn pricing(node: &Node, fields: &mut Vec<FieldReport>) -> Option<Pricing> {
    match (node.get("billing"), node.get("billing-model")) {
        (None, None) => Some(Pricing::Free),
        (Some(billing), None) => billing::read(Shape::Newer, billing, fields),
        (None, Some(billing)) => billing::read(Shape::Older, billing, fields),
        (Some(_), Some(_)) => {
            let reason = "Stands beside billing; which of the two holds cannot be known.";
            fields.push(FieldReport::refused("billing-model", reason));
            None
        }
    }
}
