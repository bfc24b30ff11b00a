//! Importing API Connect product documents.

use std::time::Duration;

use super::Wanted;
use super::document::{self, DocumentError, FieldReport, FieldResult, Report};
use crate::app::answer::Answer;
use crate::app::idempotency::Claim;
use crate::app::{App, Context};
use crate::domain::catalog::{Product, ProductContent, ProductState};
use crate::domain::error::{Code, Error, FieldCode, FieldError};
use crate::domain::precondition::Precondition;
use crate::domain::slug::Slug;
use crate::domain::text::escape_pointer;

/// What became of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The product, if it was stored.
    pub product: Option<Product>,
    /// What was made of each field.
    pub report: Report,
}

impl From<DocumentError> for Error {
    fn from(error: DocumentError) -> Self {
        let code = match error {
            DocumentError::TooLarge => Code::BodyTooLarge,
            DocumentError::CardNumber => Code::PanDetected,
            DocumentError::NotYaml { .. }
            | DocumentError::TooDeep
            | DocumentError::TooMuch
            | DocumentError::Unreadable { .. }
            | DocumentError::NotAProduct(_)
            | DocumentError::TooManyPlans => Code::MalformedDocument,
        };
        Self::new(code, error.to_string())
    }
}

impl App {
    /// What would be made of a document; nothing is stored.
    ///
    /// # Errors
    /// `not_found` for the portal, `malformed_document`, `body_too_large`, `pan_detected`.
    pub async fn try_document(&self, portal: &Slug, document: &str) -> Result<Imported, Error> {
        self.portal(portal).await?;
        let read = document::parse(document)?;
        Ok(Imported {
            product: None,
            report: read.report,
        })
    }

    /// Stores the product of a document, all of it or nothing. Without a `state` a product that exists
    /// keeps its own, and a new one is a draft.
    ///
    /// # Errors
    /// As [`App::try_document`] and [`App::put_product`]; `validation_failed` with a pointer into the
    /// document for everything that was refused.
    pub async fn import_document(
        &self,
        context: &Context,
        portal: &Slug,
        document: &str,
        state: Option<ProductState>,
        claim: Option<&Claim>,
        wait: Duration,
    ) -> Result<Answer, Error> {
        let read = document::parse(document)?;
        let Some((id, content)) = read.product else {
            return Err(Error::fields(refused(&read.report)));
        };
        let content = ProductContent {
            state: state.unwrap_or(content.state),
            ..content
        };
        let wanted = Wanted {
            content: &content,
            keeps_state: state.is_none(),
            precondition: &Precondition::default(),
            report: Some(&read.report),
        };
        self.once(context, portal, claim, wait, async |conn| {
            self.set_product(conn, context, portal, &id, &wanted).await
        })
        .await
    }
}

/// Every refused field, with a pointer into the document.
fn refused(report: &Report) -> Vec<FieldError> {
    let error = |base: &str, field: &FieldReport| {
        let path = field.field.split('.').map(escape_pointer);
        let path: Vec<String> = path.collect();
        FieldError::new(
            format!("{base}/{}", path.join("/")),
            FieldCode::InvalidValue,
            field.reason.clone().unwrap_or_default(),
        )
    };
    let is_refused = |field: &&FieldReport| field.result == FieldResult::Refused;
    let own = report.fields.iter().filter(is_refused);
    let own = own.map(|field| error("", field));
    let of_plans = report.plans.iter().flat_map(|plan| {
        let base = format!("/plans/{}", escape_pointer(&plan.name));
        let fields: Vec<FieldError> = plan
            .fields
            .iter()
            .filter(is_refused)
            .map(|field| error(&base, field))
            .collect();
        fields
    });
    own.chain(of_plans).collect()
}
