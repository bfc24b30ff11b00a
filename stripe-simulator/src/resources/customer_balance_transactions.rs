//! Changes of customers' balances: <https://docs.stripe.com/api/customer_balance_transactions>.

use serde_json::{Value, json};

use super::customers;
use crate::account::Account;
use crate::clock::Timestamp;
use crate::currency::Currency;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::{Metadata, Params};
use crate::registry::Resource;
use crate::store::{Key, Stored};

pub(crate) static RESOURCE: Resource = Resource {
    object: "customer_balance_transaction",
    prefixes: &["cbtxn_"],
    routes: &[
        Route::post(
            "/v1/customers/{customer}/balance_transactions",
            "customer",
            create,
        ),
        Route::get(
            "/v1/customers/{customer}/balance_transactions",
            "customer",
            list_all,
        ),
        Route::get(
            "/v1/customers/{customer}/balance_transactions/{transaction}",
            "customer",
            retrieve,
        ),
        Route::post(
            "/v1/customers/{customer}/balance_transactions/{transaction}",
            "customer",
            update,
        ),
    ],
    find: |account, id| {
        account
            .customer_balance_transactions
            .get(id)
            .map(|t| t.render(account))
    },
    all: |account| {
        account
            .customer_balance_transactions
            .oldest_first()
            .map(|object| object.render(account))
            .collect()
    },
    includes: &[],
};

#[derive(Clone, Debug)]
pub(crate) struct CustomerBalanceTransaction {
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    pub(crate) customer: String,
    /// Minor units; negative is credit to the customer.
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    pub(crate) ending_balance: i64,
    pub(crate) kind: Kind,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
}

/// Why a balance changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Adjustment,
    Initial,
    /// The invoice's id.
    AppliedToInvoice(String),
    UnappliedFromInvoice(String),
    InvoiceTooSmall(String),
    /// The credit note's and the invoice's ids.
    CreditNote {
        credit_note: String,
        invoice: String,
    },
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::Adjustment => "adjustment",
            Self::Initial => "initial",
            Self::AppliedToInvoice(_) => "applied_to_invoice",
            Self::UnappliedFromInvoice(_) => "unapplied_from_invoice",
            Self::InvoiceTooSmall(_) => "invoice_too_small",
            Self::CreditNote { .. } => "credit_note",
        }
    }

    fn invoice(&self) -> Option<&str> {
        match self {
            Self::Adjustment | Self::Initial => None,
            Self::AppliedToInvoice(invoice)
            | Self::UnappliedFromInvoice(invoice)
            | Self::InvoiceTooSmall(invoice)
            | Self::CreditNote { invoice, .. } => Some(invoice),
        }
    }
}

impl Stored for CustomerBalanceTransaction {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        vec![("customer", self.customer.clone())]
    }
}

impl CustomerBalanceTransaction {
    fn render(&self, account: &Account) -> Value {
        let credit_note = match &self.kind {
            Kind::CreditNote { credit_note, .. } => Some(credit_note),
            _ => None,
        };
        json!({
            "id": self.id,
            "object": "customer_balance_transaction",
            "amount": self.amount,
            "checkout_session": null,
            "created": self.created,
            "credit_note": credit_note,
            "currency": self.currency,
            "customer": self.customer,
            "customer_account": null,
            "description": self.description,
            "ending_balance": self.ending_balance,
            "invoice": self.kind.invoice(),
            "livemode": account.livemode,
            "metadata": self.metadata,
            "type": self.kind.name(),
        })
    }
}

/// Changes a customer's balance by `amount` minor units and records why; the answer is the
/// transaction's id. The caller has checked that the currency is the customer's.
pub(crate) fn adjust(
    account: &mut Account,
    customer: &str,
    amount: i64,
    currency: Currency,
    kind: Kind,
) -> String {
    let ending_balance = account
        .customers
        .get(customer)
        .map_or(0, |customer| customer.balance)
        .saturating_add(amount);
    let transaction = CustomerBalanceTransaction {
        id: account.ids.long("cbtxn_"),
        created: account.now(),
        customer: customer.to_owned(),
        amount,
        currency,
        ending_balance,
        kind,
        description: None,
        metadata: Metadata::new(),
    };
    let id = transaction.id.clone();
    let changed = customers::change(account, customer, |customer| {
        customer.balance = ending_balance;
        customer.currency.get_or_insert(currency);
        Ok(())
    });
    if changed.is_ok() {
        // Stripe has no event of its own for it; the customer's update tells of the balance.
        account.customer_balance_transactions.insert(transaction);
    }
    id
}

fn customer_of_path(ctx: &mut Ctx<'_>) -> Result<String, StripeError> {
    let id = ctx.arg("customer").to_owned();
    customers::named(ctx.account, &id, "customer").map_err(|error| error.status(404))?;
    ctx.account.act_for(&id);
    Ok(id)
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = customer_of_path(ctx)?;
    let account = &mut *ctx.account;
    let currency = Currency::parse(params.required("currency")?, "currency")?;
    customers::check_currency(account, &customer, currency)?;
    let amount = params.integer("amount").unwrap_or_default();
    if amount == 0 {
        return Err(StripeError::invalid("The amount must be non-zero.").param("amount"));
    }
    let id = adjust(account, &customer, amount, currency, Kind::Adjustment);
    apply(account, &id, params);
    Ok(account.render(&id).unwrap_or_default().into())
}

fn apply(account: &mut Account, id: &str, params: Params<'_>) {
    if let Some(mut transaction) = account.customer_balance_transactions.get_mut(id) {
        params
            .patch("description")
            .apply(&mut transaction.description);
        params.merge_metadata(&mut transaction.metadata);
    }
}

fn of_path(ctx: &mut Ctx<'_>) -> Result<String, StripeError> {
    let customer = customer_of_path(ctx)?;
    let id = ctx.arg("transaction");
    match ctx.account.customer_balance_transactions.get(id) {
        Some(transaction) if transaction.customer == customer => Ok(transaction.id.clone()),
        _ => Err(StripeError::no_such(
            "customer balance transaction",
            id,
            "transaction",
        )),
    }
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    Ok(ctx.account.render(&id).unwrap_or_default().into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    apply(ctx.account, &id, params);
    Ok(ctx.account.render(&id).unwrap_or_default().into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = customer_of_path(ctx)?;
    let invoice = params.text("invoice");
    let keep = |transaction: &CustomerBalanceTransaction| {
        invoice.is_none_or(|invoice| transaction.kind.invoice() == Some(invoice))
    };
    let render = |transaction: &CustomerBalanceTransaction| transaction.render(ctx.account);
    let store = &ctx.account.customer_balance_transactions;
    let key = Some(("customer", customer.as_str()));
    let what = "customer balance transaction";
    Ok(list::list(ctx, params, store, what, key, keep, render)?.into())
}
