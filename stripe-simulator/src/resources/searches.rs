//! The search calls of every resource that has one.

use crate::front::router::Route;
use crate::front::search::{Kind, Searchable, answer};
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "search_result",
    prefixes: &[],
    routes: &[
        Route::get("/v1/customers/search", "customer", |c, p| {
            answer(c, p, &CUSTOMERS)
        }),
        Route::get("/v1/subscriptions/search", "subscription", |c, p| {
            answer(c, p, &SUBSCRIPTIONS)
        }),
        Route::get("/v1/invoices/search", "invoice", |c, p| {
            answer(c, p, &INVOICES)
        }),
        Route::get("/v1/prices/search", "plan", |c, p| answer(c, p, &PRICES)),
        Route::get("/v1/products/search", "product", |c, p| {
            answer(c, p, &PRODUCTS)
        }),
        Route::get("/v1/charges/search", "charge", |c, p| {
            answer(c, p, &CHARGES)
        }),
        Route::get("/v1/payment_intents/search", "payment_intent", |c, p| {
            answer(c, p, &INTENTS)
        }),
    ],
    find: |_, _| None,
    all: |_| Vec::new(),
    includes: &[],
};

// The fields of each: https://docs.stripe.com/search#supported-query-fields-for-each-resource

const CUSTOMERS: Searchable = Searchable {
    object: "customer",
    plural: "customers",
    fields: &[
        ("created", Kind::Number),
        ("email", Kind::Text),
        ("metadata", Kind::Metadata),
        ("name", Kind::Text),
        ("phone", Kind::Text),
    ],
};

const SUBSCRIPTIONS: Searchable = Searchable {
    object: "subscription",
    plural: "subscriptions",
    fields: &[
        ("canceled_at", Kind::Number),
        ("created", Kind::Number),
        ("metadata", Kind::Metadata),
        ("status", Kind::Token),
    ],
};

const INVOICES: Searchable = Searchable {
    object: "invoice",
    plural: "invoices",
    fields: &[
        ("created", Kind::Number),
        ("currency", Kind::Token),
        ("customer", Kind::Token),
        ("metadata", Kind::Metadata),
        ("number", Kind::Token),
        ("receipt_number", Kind::Token),
        ("status", Kind::Token),
        ("subscription", Kind::Token),
        ("total", Kind::Number),
    ],
};

const PRICES: Searchable = Searchable {
    object: "price",
    plural: "prices",
    fields: &[
        ("active", Kind::Token),
        ("currency", Kind::Token),
        ("lookup_key", Kind::Token),
        ("metadata", Kind::Metadata),
        ("product", Kind::Token),
        ("type", Kind::Token),
    ],
};

const PRODUCTS: Searchable = Searchable {
    object: "product",
    plural: "products",
    fields: &[
        ("active", Kind::Token),
        ("description", Kind::Text),
        ("metadata", Kind::Metadata),
        ("name", Kind::Text),
        ("shippable", Kind::Token),
        ("url", Kind::Text),
    ],
};

const CHARGES: Searchable = Searchable {
    object: "charge",
    plural: "charges",
    fields: &[
        ("amount", Kind::Number),
        ("created", Kind::Number),
        ("currency", Kind::Token),
        ("customer", Kind::Token),
        ("disputed", Kind::Token),
        ("metadata", Kind::Metadata),
        ("refunded", Kind::Token),
        ("status", Kind::Token),
    ],
};

const INTENTS: Searchable = Searchable {
    object: "payment_intent",
    plural: "payment_intents",
    fields: &[
        ("amount", Kind::Number),
        ("created", Kind::Number),
        ("currency", Kind::Token),
        ("customer", Kind::Token),
        ("metadata", Kind::Metadata),
        ("status", Kind::Token),
    ],
};
