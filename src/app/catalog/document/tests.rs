use super::*;
use crate::domain::pricing::{IntervalUnit, Pricing};

/// What API Connect's newer versions export, with a free plan, a paid one and one with a trial.
const NEWER: &str = r"
product: 1.0.0
info:
  name: tide-tables
  title: Tide tables
  version: 2.1.0
  summary: High and low water for 4,000 harbours
  description: |
    High and low water.
    For 4,000 harbours.
  contact:
    name: Harbour desk
  x-pathalias: tides
gateways:
  - datapower-api-gateway
visibility:
  view:
    enabled: true
    type: public
  subscribe:
    enabled: true
    type: authenticated
apis:
  tides:
    name: 'tides:1.0.0'
plans:
  visitor:
    title: Visitor
    description: To look around
    approval: false
    rate-limits:
      default:
        value: 100/1hour
        hard-limit: true
    apis:
      tides: {}
  sailor:
    title: Sailor
    description: For one boat
    approval: false
    rate-limits:
      default:
        value: 1000/1hour
    billing:
      billing: harbour-stripe
      currency: USD
      price: 9.99
      period: 1
      period-unit: month
      trial-period: 2
      trial-period-unit: week
  harbour-master:
    title: Harbour master
    approval: true
    billing:
      billing: harbour-stripe
      currency: eur
      price: '1200'
      period: 2
      period-unit: year
      trial-period: 0
      trial-period-unit: day
";

/// The shape of earlier versions.
const OLDER: &str = r"
product: '1.0.0'
info:
  name: Parcel_Tracking
  title: Parcel tracking
  version: 1.0.0
plans:
  Bronze Plan:
    title: Bronze
    approval: True
    rate-limit:
      value: unlimited
      hard-limit: false
    billing-model:
      provider: stripe
      model: fixed
      currency: jpy
      amount: 500
      period: month
      trial-period-days: 30
  gratis:
    title: Gratis
    billing-model:
      provider: stripe
      currency: usd
      amount: 0
      period: 1
      period-unit: month
";

fn imported(document: &str) -> ImportedProduct {
    parse(document).unwrap()
}

fn content(document: &str) -> (Slug, ProductContent) {
    let imported = imported(document);
    assert!(imported.report.is_clean(), "{:#?}", imported.report);
    imported.product.unwrap()
}

fn report_of<'a>(fields: &'a [FieldReport], name: &str) -> &'a FieldReport {
    let found = fields.iter().find(|report| report.field == name);
    found.unwrap_or_else(|| panic!("nothing on {name} in {fields:#?}"))
}

fn of_plan(document: &str) -> PlanReport {
    let mut plans = imported(document).report.plans;
    assert_eq!(plans.len(), 1);
    plans.remove(0)
}

/// A document with one plan whose billing is these lines.
fn newer(billing: &str) -> String {
    one_plan("billing", billing)
}

fn older(billing: &str) -> String {
    one_plan("billing-model", billing)
}

fn one_plan(key: &str, billing: &str) -> String {
    let lines: Vec<_> = billing.lines().map(str::trim).collect();
    let lines = lines.join("\n      ");
    format!(
        "product: 1.0.0\ninfo: {{name: p, title: P, version: 1.0.0}}\nplans:\n  \
         gold:\n    title: Gold\n    {key}:\n      {lines}\n"
    )
}

/// The one refused field and its reason.
fn refusal(document: &str) -> (String, String) {
    let imported = imported(document);
    assert_eq!(imported.product, None, "{document}");
    let plan = &imported.report.plans[0];
    assert_eq!(
        (plan.model.as_deref(), plan.needs_payment_method),
        (None, None)
    );
    let refused: Vec<_> = plan
        .fields
        .iter()
        .filter(|field| field.result == FieldResult::Refused)
        .collect();
    let [field] = refused.as_slice() else {
        panic!("one refusal: {:#?}", plan.fields)
    };
    assert_eq!(field.value, None);
    (field.field.clone(), field.reason.clone().unwrap())
}

#[test]
fn the_newer_shape_is_read_exactly() {
    let (id, product) = content(NEWER);
    assert_eq!(id.as_str(), "tide-tables");
    assert_eq!(product.title, "Tide tables");
    assert_eq!(product.version, "2.1.0");
    assert_eq!(
        product.description,
        "High and low water.\nFor 4,000 harbours."
    );
    assert_eq!(product.state, ProductState::Draft);
    let [visitor, sailor, master] = product.plans.as_slice() else {
        panic!("three plans")
    };
    assert_eq!(visitor.pricing, Pricing::Free);
    assert_eq!(visitor.description, "To look around");

    let price = sailor.pricing.unit_price().unwrap().as_money().unwrap();
    assert_eq!((price.amount, price.currency.as_str()), (999, "usd"));
    let terms = sailor.pricing.terms().unwrap();
    assert_eq!(
        (terms.interval.unit, terms.interval.count),
        (IntervalUnit::Month, 1)
    );
    let trial = terms.trial.unwrap();
    assert_eq!((trial.days, trial.requires_payment_method), (14, true));
    assert!(sailor.pricing.needs_payment_method() && !sailor.approval_required);

    let price = master.pricing.unit_price().unwrap().as_money().unwrap();
    assert_eq!((price.amount, price.currency.as_str()), (120_000, "eur"));
    let terms = master.pricing.terms().unwrap();
    assert_eq!(
        (terms.interval.unit, terms.interval.count),
        (IntervalUnit::Year, 2)
    );
    assert_eq!(terms.trial, None);
    assert!(master.approval_required);
}

#[test]
fn the_older_shape_has_minor_units() {
    let (id, product) = content(OLDER);
    assert_eq!(id.as_str(), "parcel-tracking");
    assert_eq!(product.description, "");
    let [bronze, gratis] = product.plans.as_slice() else {
        panic!("two plans")
    };
    assert_eq!(bronze.id.as_str(), "bronze-plan");
    assert!(bronze.approval_required);
    let price = bronze.pricing.unit_price().unwrap().as_money().unwrap();
    assert_eq!((price.amount, price.currency.as_str()), (500, "jpy"));
    assert_eq!(bronze.pricing.terms().unwrap().trial.unwrap().days, 30);
    assert_eq!(gratis.pricing, Pricing::Free);
    let in_units = older("currency: usd\namount: 1500\nperiod: 3\nperiod-unit: month");
    let (_, product) = content(&in_units);
    let pricing = &product.plans[0].pricing;
    let price = pricing.unit_price().unwrap().as_money().unwrap();
    assert_eq!(price.amount, 1500, "cents, not dollars");
    assert_eq!(pricing.terms().unwrap().interval.count, 3);
}

#[test]
fn the_report_says_what_was_made_of_each_field() {
    let report = imported(NEWER).report;
    assert_eq!(
        report_of(&report.fields, "info.name").value.as_deref(),
        Some("tide-tables")
    );
    for ignored in [
        "gateways",
        "visibility",
        "apis",
        "info.contact",
        "info.x-pathalias",
        "info.summary",
    ] {
        let field = report_of(&report.fields, ignored);
        assert_eq!(field.result, FieldResult::Ignored, "{ignored}");
        assert!(field.reason.is_some());
    }
    let [visitor, sailor, _] = report.plans.as_slice() else {
        panic!("three plans")
    };
    assert_eq!(
        (visitor.model.as_deref(), visitor.needs_payment_method),
        (Some("free"), Some(false))
    );
    assert_eq!(
        (sailor.model.as_deref(), sailor.needs_payment_method),
        (Some("flat"), Some(true))
    );
    assert_eq!(
        report_of(&visitor.fields, "rate-limits").result,
        FieldResult::Ignored
    );
    let taken = |name| report_of(&sailor.fields, name).value.as_deref();
    assert_eq!(taken("billing.price"), Some("999 minor units"));
    assert_eq!(taken("billing.currency"), Some("usd"));
    assert_eq!(taken("billing.period"), Some("every 1 month"));
    assert_eq!(taken("billing.trial-period"), Some("14 days"));
    assert_eq!(
        report_of(&sailor.fields, "billing.billing").result,
        FieldResult::Ignored
    );

    let bronze = &imported(OLDER).report.plans[0];
    assert_eq!(bronze.name, "Bronze Plan");
    let name = report_of(&bronze.fields, "name");
    assert_eq!(name.value.as_deref(), Some("bronze-plan"));
    assert!(name.reason.is_some(), "a changed name is said");
}

#[test]
fn a_price_of_nothing_is_a_free_plan() {
    for price in ["0", "0.0", "0.00", "'0'"] {
        for document in [
            newer(&format!(
                "currency: usd\nprice: {price}\nperiod: 1\nperiod-unit: month"
            )),
            newer(&format!("price: {price}\nperiod-unit: hour\ncurrency: xyz")),
            older(&format!("currency: usd\namount: {price}")),
        ] {
            let (_, product) = content(&document);
            assert_eq!(product.plans[0].pricing, Pricing::Free, "{document}");
            assert_eq!(of_plan(&document).needs_payment_method, Some(false));
        }
    }
    let plan = of_plan(&newer("currency: usd\nprice: 0\nperiod-unit: month"));
    assert_eq!(
        report_of(&plan.fields, "billing.period-unit").result,
        FieldResult::Ignored
    );
    assert!(report_of(&plan.fields, "billing.price").reason.is_some());
}

#[test]
fn every_price_below_ten_is_read_to_the_cent() {
    for cents in 1..1000 {
        let price = format!("{}.{:02}", cents / 100, cents % 100);
        let (_, product) = content(&newer(&format!(
            "currency: USD\nprice: {price}\nperiod-unit: month"
        )));
        let read = product.plans[0].pricing.unit_price().unwrap().as_money();
        assert_eq!(read.unwrap().amount, cents, "{price}");
    }
}

#[test]
fn amounts_that_would_be_rounded_are_refused() {
    for (currency, price) in [
        ("usd", "9.999"),
        ("usd", "0.001"),
        ("jpy", "1.5"),
        ("kwd", "1.234"),
        ("isk", "99.50"),
        ("usd", "1e3"),
        ("usd", "-5"),
        ("usd", "1_000"),
        ("usd", "010"),
        ("usd", ".5"),
        ("usd", ".inf"),
        ("usd", "'9,99'"),
        ("usd", "$5"),
        ("usd", "1000000"),
        ("usd", "99999999999999999999999"),
    ] {
        let document = newer(&format!(
            "currency: {currency}\nprice: {price}\nperiod-unit: month"
        ));
        assert_eq!(refusal(&document).0, "billing.price", "{price} {currency}");
    }
    for amount in ["9.99", "-1", "1e3", "100000000", "0x10"] {
        let document = older(&format!("currency: usd\namount: {amount}\nperiod: month"));
        assert_eq!(refusal(&document).0, "billing-model.amount", "{amount}");
    }
}

#[test]
fn periods_that_cannot_be_billed_are_refused() {
    for unit in ["hour", "minute", "second", "Hours"] {
        let document = newer(&format!(
            "currency: usd\nprice: 5\nperiod: 1\nperiod-unit: {unit}"
        ));
        let (field, reason) = refusal(&document);
        assert_eq!(field, "billing.period-unit");
        assert!(reason.contains("shorter than a day"), "{reason}");
    }
    for (lines, field) in [
        ("period: 1\nperiod-unit: quarter", "billing.period-unit"),
        ("period: 1", "billing.period-unit"),
        ("period: month\nperiod-unit: month", "billing.period"),
        ("period: 0\nperiod-unit: month", "billing.period"),
        ("period: 37\nperiod-unit: month", "billing.period"),
        ("period: 4\nperiod-unit: year", "billing.period"),
        ("period: 1.0\nperiod-unit: month", "billing.period"),
        ("period: [1]\nperiod-unit: month", "billing.period"),
    ] {
        let document = newer(&format!("currency: usd\nprice: 5\n{lines}"));
        assert_eq!(refusal(&document).0, field, "{lines}");
    }
    let hours = older("currency: usd\namount: 5\nperiod: hour");
    assert_eq!(refusal(&hours).0, "billing-model.period");
}

#[test]
fn trials_are_whole_days() {
    let with = |lines: &str| {
        newer(&format!(
            "currency: usd\nprice: 5\nperiod-unit: month\n{lines}"
        ))
    };
    let days = |lines: &str| {
        let (_, product) = content(&with(lines));
        product.plans[0]
            .pricing
            .terms()
            .unwrap()
            .trial
            .map(|trial| trial.days)
    };
    assert_eq!(days("trial-period: 730\ntrial-period-unit: day"), Some(730));
    assert_eq!(days("trial-period: 2\ntrial-period-unit: weeks"), Some(14));
    assert_eq!(days("trial-period: 0\ntrial-period-unit: month"), None);
    assert_eq!(days("trial-period-unit: day"), None);
    for (lines, field) in [
        (
            "trial-period: 1\ntrial-period-unit: month",
            "billing.trial-period-unit",
        ),
        (
            "trial-period: 1\ntrial-period-unit: hour",
            "billing.trial-period-unit",
        ),
        ("trial-period: 1", "billing.trial-period-unit"),
        (
            "trial-period: 731\ntrial-period-unit: day",
            "billing.trial-period",
        ),
        (
            "trial-period: -1\ntrial-period-unit: day",
            "billing.trial-period",
        ),
        (
            "trial-period: some\ntrial-period-unit: day",
            "billing.trial-period",
        ),
    ] {
        assert_eq!(refusal(&with(lines)).0, field, "{lines}");
    }
}

#[test]
fn each_field_of_the_billing_is_reported() {
    for document in [NEWER, OLDER] {
        let root = yaml::read(document).unwrap();
        let plans = root.get("plans").unwrap();
        for report in imported(document).report.plans {
            let plan = plans.get(&report.name).unwrap();
            for key in ["billing", "billing-model"] {
                let billing = plan.get(key).and_then(Node::entries).unwrap_or_default();
                for (field, _) in billing {
                    report_of(&report.fields, &format!("{key}.{field}"));
                }
            }
        }
    }
    let contradicted = older(
        "currency: usd\namount: 5\nperiod: month\ntrial-period-days: 1\ntrial-period-unit: week",
    );
    assert_eq!(refusal(&contradicted).0, "billing-model.trial-period-unit");
}

#[test]
fn what_is_not_known_of_billing_is_refused_and_the_rest_ignored() {
    let unknown = newer("currency: usd\nprice: 5\nperiod-unit: month\nsetup-fee: 100");
    assert_eq!(refusal(&unknown).0, "billing.setup-fee");
    let amount = newer("currency: usd\namount: 5\nprice: 5\nperiod-unit: month");
    assert_eq!(refusal(&amount).0, "billing.amount");
    let metered = older("model: metered\ncurrency: usd\namount: 5\nperiod: month");
    assert_eq!(refusal(&metered).0, "billing-model.model");
    let foreign = newer("currency: xyz\nprice: 5\nperiod-unit: month");
    assert_eq!(refusal(&foreign).0, "billing.currency");
    let without = newer("price: 5\nperiod-unit: month");
    assert_eq!(refusal(&without).0, "billing.currency");
    let nothing = newer("currency: usd\nperiod-unit: month");
    assert_eq!(refusal(&nothing).0, "billing.price");
    let extension = newer("currency: usd\nprice: 5\nperiod-unit: month\nx-note: abc");
    content(&extension);
    let both = format!(
        "{}    billing-model: {{currency: usd, amount: 5, period: month}}\n",
        newer("currency: usd\nprice: 5\nperiod-unit: month")
    );
    assert_eq!(refusal(&both).0, "billing-model");
    let text = "product: 1.0.0\ninfo: {name: p, version: '1'}\nplans: {gold: {billing: 5}}";
    assert_eq!(refusal(text).0, "billing");
    let approval =
        "product: 1.0.0\ninfo: {name: p, version: '1'}\nplans: {gold: {approval: maybe}}";
    assert_eq!(refusal(approval).0, "approval");
}

#[test]
fn names_become_slugs_only_without_guessing() {
    let with = |plans: &str| {
        format!("product: 1.0.0\ninfo: {{name: p, version: '1'}}\nplans: {{{plans}}}")
    };
    let (_, product) = content(&with("Gold_Plan.v2: {title: T}, basic: , '2024': {}"));
    let ids: Vec<_> = product.plans.iter().map(|plan| plan.id.as_str()).collect();
    assert_eq!(ids, ["gold-plan-v2", "basic", "2024"]);
    assert_eq!(product.plans[1].title, "basic");
    let long = "x".repeat(64);
    for name in ["Größe", "a/b", "'-a'", "_a", "'a+b'", "''", &long] {
        assert_eq!(refusal(&with(&format!("{name}: {{}}"))).0, "name", "{name}");
    }
    let clash = imported(&with("Gold: {}, gold: {}, other: {}"));
    assert_eq!(clash.product, None);
    let refused = |plan: &PlanReport| plan.model.is_none() && plan.id.is_none();
    let [first, second, other] = clash.report.plans.as_slice() else {
        panic!("three plans")
    };
    assert!(refused(first) && refused(second) && !refused(other));
    let product = imported("product: 1.0.0\ninfo: {name: Straße, version: '1'}\nplans: {a: }");
    assert_eq!(product.product, None);
    assert_eq!(
        report_of(&product.report.fields, "info.name").result,
        FieldResult::Refused
    );
}

#[test]
fn the_products_own_fields_are_needed() {
    for (info, field) in [
        ("{title: T, version: '1'}", "info.name"),
        ("{name: p, title: T}", "info.version"),
        ("{name: p, title: [T], version: '1'}", "info.title"),
        ("[]", "info"),
        ("", "info"),
    ] {
        let imported = imported(&format!("product: 1.0.0\ninfo: {info}\nplans: {{a: }}"));
        assert_eq!(imported.product, None, "{info}");
        let field = report_of(&imported.report.fields, field);
        assert_eq!(field.result, FieldResult::Refused);
        assert_eq!(
            imported.report.plans.len(),
            1,
            "the plans are reported all the same"
        );
    }
}

#[test]
fn what_is_no_product_is_an_error_and_not_a_report() {
    for document in [
        "",
        "a: 1",
        "[]",
        "product: 2.0.0\ninfo: {}",
        "product: 1.0.0\nplans: [a]",
        "openapi: 3.0.0\ninfo: {title: T, version: '1'}",
    ] {
        assert!(
            matches!(parse(document), Err(DocumentError::NotAProduct(_))),
            "{document}"
        );
    }
    assert!(matches!(
        parse("a: [\n"),
        Err(DocumentError::NotYaml { .. })
    ));
    let large = format!("{NEWER}# {}", "x".repeat(DOCUMENT_MAX_BYTES));
    assert_eq!(parse(&large), Err(DocumentError::TooLarge));
    let plans = |count: usize| {
        let plans: Vec<_> = (0..count).map(|n| format!("  p{n}: \n")).collect();
        let plans = plans.concat();
        format!("product: 1.0.0\ninfo: {{name: p, version: '1'}}\nplans:\n{plans}")
    };
    assert_eq!(content(&plans(50)).1.plans.len(), 50);
    assert_eq!(parse(&plans(51)), Err(DocumentError::TooManyPlans));
    let card = NEWER.replace("To look around", "4242 4242 4242 4242");
    assert_eq!(parse(&card), Err(DocumentError::CardNumber));
}

#[test]
fn a_report_repeats_no_secret() {
    let document = NEWER
        .replace("title: Sailor", "title: sk_live_51PgafTB1W")
        .replace("  visitor:", "  sk_live_51PgafTB1W:")
        .replace("x-pathalias", "whsec_0123456789");
    let imported = imported(&document);
    assert_eq!(imported.product, None);
    let report = format!("{:?}", imported.report);
    assert!(
        !report.contains("sk_live_51") && !report.contains("whsec_0"),
        "{report}"
    );
}
