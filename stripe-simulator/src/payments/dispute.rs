//! Disputes: state, JSON and course.

use serde_json::{Map, Value, json};

use super::cards::DisputeKind;
use super::ledger::Entry;
use crate::account::Account;
use crate::clock::DAY;
use crate::currency::Currency;
use crate::params::Metadata;
use crate::store::{Key, Stored};

/// `dispute.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DisputeStatus {
    WarningNeedsResponse,
    WarningUnderReview,
    WarningClosed,
    NeedsResponse,
    UnderReview,
    Won,
    Lost,
}

impl DisputeStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::WarningNeedsResponse => "warning_needs_response",
            Self::WarningUnderReview => "warning_under_review",
            Self::WarningClosed => "warning_closed",
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }

    const fn is_over(self) -> bool {
        matches!(self, Self::WarningClosed | Self::Won | Self::Lost)
    }
}

/// A dispute.
#[derive(Debug, Clone)]
pub(crate) struct Dispute {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) livemode: bool,
    /// Minor units.
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    pub(crate) charge: String,
    pub(crate) payment_intent: String,
    pub(crate) status: DisputeStatus,
    pub(crate) reason: &'static str,
    pub(crate) network_reason_code: &'static str,
    pub(crate) brand: Option<&'static str>,
    pub(crate) evidence: Map<String, Value>,
    pub(crate) submissions: u32,
    pub(crate) balance_transactions: Vec<Entry>,
    pub(crate) metadata: Metadata,
}

impl Stored for Dispute {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        vec![
            ("charge", self.charge.clone()),
            ("payment_intent", self.payment_intent.clone()),
        ]
    }
}

/// Every field of `evidence`.
const EVIDENCE: &[&str] = &[
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

/// The days a merchant has to answer a dispute.
const DAYS_TO_RESPOND: i64 = 10;

impl Dispute {
    /// Whether it only asks, and has withdrawn nothing.
    pub(crate) fn is_inquiry(&self) -> bool {
        matches!(
            self.status,
            DisputeStatus::WarningNeedsResponse
                | DisputeStatus::WarningUnderReview
                | DisputeStatus::WarningClosed
        )
    }

    pub(crate) fn render(&self) -> Value {
        let mut evidence: Map<String, Value> = EVIDENCE
            .iter()
            .map(|field| {
                let value = self.evidence.get(*field).cloned().unwrap_or_default();
                ((*field).to_owned(), value)
            })
            .collect();
        evidence.insert("enhanced_evidence".to_owned(), json!({}));
        let details = self.brand.map(|brand| {
            json!({
                "type": "card",
                "card": {
                    "brand": brand,
                    "case_type": if self.is_inquiry() { "inquiry" } else { "chargeback" },
                    "network": brand,
                    "network_reason_code": self.network_reason_code,
                },
            })
        });
        let transactions: Vec<Value> = self
            .balance_transactions
            .iter()
            .map(Entry::render)
            .collect();
        json!({
            "id": self.id,
            "object": "dispute",
            "amount": self.amount,
            "balance_transactions": transactions,
            "charge": self.charge,
            "created": self.created,
            "currency": self.currency.code(),
            "enhanced_eligibility_types": [],
            "evidence": evidence,
            "evidence_details": {
                "due_by": self.created.saturating_add(DAYS_TO_RESPOND * DAY),
                "enhanced_eligibility": {},
                "has_evidence": !self.evidence.is_empty(),
                "past_due": false,
                "submission_count": self.submissions,
            },
            "is_charge_refundable": self.status == DisputeStatus::WarningNeedsResponse,
            "livemode": self.livemode,
            "metadata": self.metadata,
            "payment_intent": self.payment_intent,
            "payment_method_details": details,
            "reason": self.reason,
            "status": self.status.as_str(),
        })
    }
}

impl Account {
    /// The card's holder, or the bank, disputes a charge.
    pub(crate) fn open_dispute(&mut self, charge_id: &str, kind: DisputeKind) {
        let Some(charge) = self.payments.charges.get(charge_id).cloned() else {
            return;
        };
        let (status, reason, network_reason_code) = match kind {
            // A warning is not a dispute: the network only passes on a suspicion.
            DisputeKind::EarlyFraudWarning => return,
            DisputeKind::Fraudulent => (DisputeStatus::NeedsResponse, "fraudulent", "10.4"),
            DisputeKind::ProductNotReceived => {
                (DisputeStatus::NeedsResponse, "product_not_received", "13.1")
            }
            DisputeKind::Inquiry => (DisputeStatus::WarningNeedsResponse, "fraudulent", "10.4"),
        };
        let card = self.payments.payment_methods.get(&charge.payment_method);
        let brand = card.and_then(|method| Some(method.instrument.card()?.test.brand.as_str()));
        let id = self.ids.long("du_");
        let is_chargeback = status == DisputeStatus::NeedsResponse;
        let entry = is_chargeback.then(|| self.book_dispute(&id, &charge, -charge.amount));
        let dispute = Dispute {
            id,
            created: self.now(),
            livemode: self.livemode,
            amount: charge.amount,
            currency: charge.currency,
            charge: charge.id.clone(),
            payment_intent: charge.payment_intent.clone(),
            status,
            reason,
            network_reason_code,
            brand,
            evidence: Map::new(),
            submissions: 0,
            balance_transactions: entry.into_iter().collect(),
            metadata: Metadata::new(),
        };
        let rendered = dispute.render();
        self.payments.disputes.insert(dispute);
        let (before, after) = self.change_charge(charge_id, |charge| charge.disputed = true);
        self.emit_updated("charge.updated", &before, &after);
        self.emit("charge.dispute.created", &rendered);
        if is_chargeback {
            self.emit("charge.dispute.funds_withdrawn", &rendered);
        }
    }

    /// Takes evidence, and submits it where told to. In test mode the text `winning_evidence` wins
    /// and `losing_evidence` loses: <https://docs.stripe.com/testing#evidence>.
    pub(crate) fn answer_dispute(&mut self, id: &str, evidence: Map<String, Value>, submit: bool) {
        let Some(mut dispute) = self.payments.disputes.get_mut(id) else {
            return;
        };
        dispute.evidence.extend(evidence);
        if !submit || dispute.status.is_over() {
            return;
        }
        dispute.submissions += 1;
        let text = dispute
            .evidence
            .get("uncategorized_text")
            .and_then(Value::as_str);
        let verdict = match text {
            Some("winning_evidence") => Some(true),
            Some("losing_evidence") => Some(false),
            _ => None,
        };
        let inquiry = dispute.is_inquiry();
        match verdict {
            None => {
                dispute.status = if inquiry {
                    DisputeStatus::WarningUnderReview
                } else {
                    DisputeStatus::UnderReview
                };
            }
            Some(won) => {
                drop(dispute);
                self.close_dispute(id, won);
            }
        }
    }

    /// Ends a dispute. What was withdrawn comes back when it is won.
    pub(crate) fn close_dispute(&mut self, id: &str, won: bool) {
        let Some(dispute) = self.payments.disputes.get(id).cloned() else {
            return;
        };
        if dispute.status.is_over() {
            return;
        }
        let status = match (dispute.is_inquiry(), won) {
            (true, _) => DisputeStatus::WarningClosed,
            (false, true) => DisputeStatus::Won,
            (false, false) => DisputeStatus::Lost,
        };
        let charge = self.payments.charges.get(&dispute.charge).cloned();
        let reinstated = match (status, charge) {
            (DisputeStatus::Won, Some(charge)) => {
                Some(self.book_dispute(id, &charge, dispute.amount))
            }
            _ => None,
        };
        let returns = reinstated.is_some();
        let Some(mut dispute) = self.payments.disputes.get_mut(id) else {
            return;
        };
        dispute.status = status;
        dispute.balance_transactions.extend(reinstated);
        let rendered = dispute.render();
        drop(dispute);
        self.emit("charge.dispute.closed", &rendered);
        if returns {
            self.emit("charge.dispute.funds_reinstated", &rendered);
        }
    }
}
