//! Credit notes: what is given back of a finalized invoice.

use crate::currency::Currency;
use crate::params::Metadata;
use crate::store::{Key, Stored};

use super::invoice_model::LineTax;

/// A line of a credit note.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CreditLine {
    pub(crate) id: String,
    /// Before tax, in minor units.
    pub(crate) amount: i64,
    pub(crate) description: Option<String>,
    /// The invoice line it credits; none for a custom line.
    pub(crate) invoice_line: Option<String>,
    pub(crate) quantity: Option<i64>,
    pub(crate) unit_amount: Option<i64>,
    pub(crate) taxes: Vec<LineTax>,
}

/// A credit note.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CreditNote {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) currency: Currency,
    pub(crate) customer: String,
    pub(crate) invoice: String,
    pub(crate) number: String,
    /// Tax included, in minor units.
    pub(crate) amount: i64,
    pub(crate) lines: Vec<CreditLine>,
    pub(crate) memo: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) effective_at: i64,
    /// What lessens the open invoice.
    pub(crate) pre_payment: i64,
    /// What is refunded, credited or settled elsewhere after payment.
    pub(crate) post_payment: i64,
    pub(crate) out_of_band: i64,
    /// Refund id and amount.
    pub(crate) refunds: Vec<(String, i64)>,
    pub(crate) balance_transaction: Option<String>,
    pub(crate) voided_at: Option<i64>,
    pub(crate) livemode: bool,
}

impl Stored for CreditNote {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        vec![
            ("customer", self.customer.clone()),
            ("invoice", self.invoice.clone()),
        ]
    }
}
