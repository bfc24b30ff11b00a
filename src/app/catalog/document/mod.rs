//! Reading API Connect product documents: `parse(text)` makes a product of one, and a report of what
//! was made of each field. Nothing is stored here and nothing is asked for.
//!
//! Two shapes are read. The newer one has `plans.<name>.billing` with a `price` in major units; the
//! older one `plans.<name>.billing-model` with an `amount` in minor units. A plan with neither is
//! free. What concerns the gateway (rate limits, APIs, visibility) is ignored and said to be; what
//! could change what is charged is taken exactly or refused.

use crate::domain::card_guard::holds_card_number;
use crate::domain::catalog::{
    NOT_A_PRODUCT, PLANS_MAX, PlanContent, ProductContent, ProductState, TITLE_MAX_CHARS,
    VERSION_MAX_CHARS, paragraphs,
};
use crate::domain::error::FieldError;
use crate::domain::slug::Slug;
use crate::domain::text;

mod billing;
mod plan;
mod report;
#[cfg(test)]
mod tests;
mod yaml;

pub use report::{FieldReport, FieldResult, PlanReport, Report};

use report::shown;
use yaml::Node;

/// Bytes of a document.
pub const DOCUMENT_MAX_BYTES: usize = 256 * 1024;

/// Why a text is not a document that can be reported on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Larger than [`DOCUMENT_MAX_BYTES`].
    #[error("The document is larger than 256 KiB.")]
    TooLarge,
    /// Not YAML.
    #[error("The document is not YAML, in line {line}: {reason}.")]
    NotYaml {
        /// Counted from 1.
        line: usize,
        /// In the parser's words.
        reason: String,
    },
    /// Nested too deeply, its aliases expanded.
    #[error("The document nests deeper than 32 levels.")]
    TooDeep,
    /// Its aliases expand to too much.
    #[error("The document expands to more than is read.")]
    TooMuch,
    /// YAML that can be read in more than one way, or that this reader leaves out.
    #[error("The document has {what} in line {line}, which is not read.")]
    Unreadable {
        /// Counted from 1.
        line: usize,
        /// What it is.
        what: &'static str,
    },
    /// YAML, and not a product.
    #[error("The document is not an API Connect product. {0}")]
    NotAProduct(&'static str),
    /// More plans than a product may have.
    #[error("The document has more than 50 plans.")]
    TooManyPlans,
    /// Something in it looks like a card number.
    #[error("The document holds what looks like a card number.")]
    CardNumber,
}

/// What a document became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedProduct {
    /// The product; `None` when anything in it was refused. A document has no lifecycle state, so
    /// it is a draft here; whoever stores it keeps the state of a product that exists.
    pub product: Option<(Slug, ProductContent)>,
    /// What was made of each field.
    pub report: Report,
}

/// Reads a document.
///
/// # Errors
/// When there is nothing to report on; what is wrong with single fields stands in the report.
pub fn parse(document: &str) -> Result<ImportedProduct, DocumentError> {
    if document.len() > DOCUMENT_MAX_BYTES {
        return Err(DocumentError::TooLarge);
    }
    if holds_card_number(document) {
        return Err(DocumentError::CardNumber);
    }
    let root = yaml::read(document)?;
    let version = root.get("product").and_then(Node::text);
    if !version.is_some_and(|version| version == "1" || version.starts_with("1.")) {
        return Err(DocumentError::NotAProduct(
            "It must be a mapping with product: 1.0.0.",
        ));
    }
    let named = match root.get("plans") {
        None => &[][..],
        Some(plans) => plans.entries().ok_or(DocumentError::NotAProduct(
            "plans must be a mapping of names to plans.",
        ))?,
    };
    if named.len() > PLANS_MAX {
        return Err(DocumentError::TooManyPlans);
    }
    let mut report = Report::default();
    let head = Head::read(&root, &mut report.fields);
    let mut plans = Vec::new();
    for (place, (name, node)) in named.iter().enumerate() {
        let taken = named
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != place)
            .filter_map(|(_, (other, _))| slug_of(other));
        let (content, of_plan) = plan::read(name, node, taken);
        plans.extend(content);
        report.plans.push(of_plan);
    }
    let product = head
        .filter(|_| report.is_clean())
        .map(|head| head.with(plans));
    Ok(ImportedProduct { product, report })
}

/// What a document says of the product itself.
struct Head {
    id: Slug,
    title: String,
    version: String,
    description: String,
}

impl Head {
    fn read(root: &Node, fields: &mut Vec<FieldReport>) -> Option<Self> {
        for (key, _) in root.entries().unwrap_or_default() {
            if !matches!(key.as_str(), "info" | "plans" | "product") {
                fields.push(not_billing(key));
            }
        }
        let Some(info) = root.get("info").filter(|info| info.entries().is_some()) else {
            fields.push(FieldReport::refused(
                "info",
                "Must be a mapping with a name.",
            ));
            return None;
        };
        for (key, _) in info.entries().unwrap_or_default() {
            if !matches!(
                key.as_str(),
                "name" | "title" | "version" | "description" | "summary"
            ) {
                fields.push(not_billing(&format!("info.{key}")));
            }
        }
        let id = name_field("info.name", info.get("name"), fields);
        let title = info.get("title").or_else(|| info.get("name"));
        let title = line_field("info.title", title, TITLE_MAX_CHARS, fields);
        let version = line_field(
            "info.version",
            info.get("version"),
            VERSION_MAX_CHARS,
            fields,
        );
        let described = match (info.get("description"), info.get("summary")) {
            (None, Some(summary)) => ("info.summary", Some(summary)),
            (description, summary) => {
                if summary.is_some() {
                    let reason = "The description is taken instead.";
                    fields.push(FieldReport::ignored("info.summary", reason));
                }
                ("info.description", description)
            }
        };
        let description = description_field(described.0, described.1, fields);
        Some(Self {
            id: id?,
            title: title?,
            version: version?,
            description: description?,
        })
    }

    fn with(self, plans: Vec<PlanContent>) -> (Slug, ProductContent) {
        let content = ProductContent {
            title: self.title,
            version: self.version,
            description: self.description,
            state: ProductState::Draft,
            plans,
        };
        (self.id, content)
    }
}

fn not_billing(field: &str) -> FieldReport {
    FieldReport::ignored(shown(field), "Is no part of what is billed.")
}

/// The slug that stands for a name: itself, or with small letters and with a hyphen for each of
/// `_`, `.` and space. Anything else would have to be guessed.
fn slug_of(name: &str) -> Option<Slug> {
    let written: Option<String> = name
        .chars()
        .map(|c| match c {
            '_' | '.' | ' ' | '-' => Some('-'),
            c if c.is_ascii_alphanumeric() => Some(c.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    Slug::parse(&written?)
}

fn name_field(field: &str, node: Option<&Node>, fields: &mut Vec<FieldReport>) -> Option<Slug> {
    let name = required_text(field, node, fields)?;
    let Some(slug) = slug_of(name).filter(|slug| slug.as_str() != NOT_A_PRODUCT) else {
        fields.push(FieldReport::refused(field, NO_SLUG));
        return None;
    };
    fields.push(slug_taken(field, name, &slug));
    Some(slug)
}

const NO_SLUG: &str = "Cannot be written with 1 to 63 characters of a-z, 0-9 and -, starting with a \
                       letter or a digit, without guessing; or it is `import`, which no product can be.";

fn slug_taken(field: &str, name: &str, slug: &Slug) -> FieldReport {
    let taken = FieldReport::taken(field, slug.as_str());
    if name == slug.as_str() {
        taken
    } else {
        taken.because("Written with small letters and hyphens, as names are here.")
    }
}

fn line_field(
    field: &str,
    node: Option<&Node>,
    max_chars: usize,
    fields: &mut Vec<FieldReport>,
) -> Option<String> {
    let written = required_text(field, node, fields)?;
    checked(field, fields, |errors| {
        text::line(field, written, max_chars, errors)
    })
}

fn description_field(
    field: &str,
    node: Option<&Node>,
    fields: &mut Vec<FieldReport>,
) -> Option<String> {
    if node.is_none() {
        return Some(String::new());
    }
    let written = required_text(field, node, fields)?;
    checked(field, fields, |errors| paragraphs(field, written, errors))
}

/// Runs a check of the domain and reports what came of it.
fn checked(
    field: &str,
    fields: &mut Vec<FieldReport>,
    check: impl FnOnce(&mut Vec<FieldError>) -> String,
) -> Option<String> {
    let mut errors = Vec::new();
    let value = check(&mut errors);
    match errors.into_iter().next() {
        None => {
            fields.push(FieldReport::taken(field, &value));
            Some(value)
        }
        Some(error) => {
            fields.push(FieldReport::refused(field, error.detail));
            None
        }
    }
}

fn required_text<'a>(
    field: &str,
    node: Option<&'a Node>,
    fields: &mut Vec<FieldReport>,
) -> Option<&'a str> {
    let Some(node) = node else {
        fields.push(FieldReport::refused(field, "Is required."));
        return None;
    };
    let found = node.text();
    if found.is_none() {
        fields.push(FieldReport::refused(field, "Must be text."));
    }
    found
}
