use super::*;
use crate::domain::error::FieldError;

fn flat(amount: i64, currency: &str) -> PricingDraft {
    PricingDraft {
        model: "flat".to_owned(),
        price: Some(PriceDraft::whole(amount, currency)),
        interval: Some(IntervalDraft {
            unit: "month".to_owned(),
            count: 1,
        }),
        ..PricingDraft::default()
    }
}

fn per_seat(decimal: &str, currency: &str) -> PricingDraft {
    PricingDraft {
        model: "per_seat".to_owned(),
        price: Some(PriceDraft {
            unit_amount_decimal: Some(decimal.to_owned()),
            currency: currency.to_owned(),
            ..PriceDraft::default()
        }),
        ..flat(1, currency)
    }
}

fn trial(days: i64, requires_payment_method: bool) -> TrialDraft {
    TrialDraft {
        days,
        requires_payment_method: Some(requires_payment_method),
        end_behavior: None,
    }
}

fn check(draft: &PricingDraft) -> Result<Pricing, Vec<FieldError>> {
    let mut errors = Vec::new();
    let pricing = draft.check("/p", &mut errors);
    assert_eq!(
        pricing.is_some(),
        errors.is_empty(),
        "either pricing or errors"
    );
    pricing.ok_or(errors)
}

fn refused_at(draft: &PricingDraft) -> Vec<String> {
    check(draft)
        .unwrap_err()
        .into_iter()
        .map(|error| error.pointer)
        .collect()
}

#[test]
fn the_models_are_read_with_their_defaults() {
    let free = PricingDraft {
        model: "free".to_owned(),
        ..PricingDraft::default()
    };
    let free = check(&free).unwrap();
    assert_eq!(free, Pricing::Free);
    assert!(!free.is_paid() && !free.needs_payment_method());

    let paid = check(&flat(1500, "usd")).unwrap();
    let terms = paid.terms().unwrap();
    assert_eq!(terms.tax_behavior, TaxBehavior::Unspecified);
    assert_eq!((terms.trial, terms.setup_fee), (None, None));
    assert!(paid.is_paid() && paid.needs_payment_method());
    assert_eq!(paid.unit_price().unwrap().as_money().unwrap().amount, 1500);

    let seat = check(&per_seat("0.5", "usd")).unwrap();
    let price = seat.unit_price().unwrap();
    assert_eq!(price.amount.to_string(), "0.5");
    assert_eq!(price.as_money(), None);
    let whole = PricingDraft {
        model: "per_seat".to_owned(),
        ..flat(5, "usd")
    };
    assert_eq!(
        check(&whole),
        check(&per_seat("5.0", "usd")),
        "one price, however it is written"
    );
}

#[test]
fn a_trial_says_whether_a_payment_method_is_needed() {
    let with = |trial| PricingDraft {
        trial: Some(trial),
        ..flat(1500, "usd")
    };
    assert!(
        check(&with(trial(14, true)))
            .unwrap()
            .needs_payment_method()
    );
    let open = check(&with(trial(14, false))).unwrap();
    assert!(open.is_paid() && !open.needs_payment_method());
    assert_eq!(
        open.terms().unwrap().trial.unwrap().end_behavior,
        TrialEnd::Cancel
    );
    let defaults = check(&with(TrialDraft {
        days: 730,
        ..TrialDraft::default()
    }));
    assert!(defaults.unwrap().needs_payment_method());
    for days in [0, -1, 731, i64::MAX] {
        assert_eq!(refused_at(&with(trial(days, true))), ["/p/trial/days"]);
    }
    let mut unknown = trial(1, true);
    unknown.end_behavior = Some("vanish".to_owned());
    assert_eq!(refused_at(&with(unknown)), ["/p/trial/end_behavior"]);
}

#[test]
fn amounts_keep_stripes_limits() {
    for (amount, currency) in [
        (1, "usd"),
        (99_999_999, "usd"),
        (500, "isk"),
        (10, "kwd"),
        (999_999_999_999, "idr"),
    ] {
        assert!(
            check(&flat(amount, currency)).is_ok(),
            "{amount} {currency}"
        );
    }
    for (amount, currency) in [
        (-1, "usd"),
        (100_000_000, "usd"),
        (550, "isk"),
        (5, "kwd"),
        (i64::MAX, "usd"),
        (i64::MIN, "usd"),
    ] {
        assert_eq!(
            refused_at(&flat(amount, currency)),
            ["/p/price/amount"],
            "{amount} {currency}"
        );
    }
    for currency in ["USD", "xyz", ""] {
        assert_eq!(refused_at(&flat(1, currency)), ["/p/price/currency"]);
    }
}

#[test]
fn nothing_is_no_price_and_the_hint_says_so() {
    for (draft, pointer) in [
        (flat(0, "usd"), "/p/price/amount"),
        (per_seat("0.000", "usd"), "/p/price"),
    ] {
        let errors = check(&draft).unwrap_err();
        let [error] = errors.as_slice() else {
            panic!("one refusal: {errors:?}")
        };
        assert_eq!(error.pointer, pointer);
        assert!(error.detail.contains("model free"), "{}", error.detail);
    }
}

#[test]
fn decimals_belong_to_seats_only() {
    for text in ["0.003", "0.000000000001", "99999999"] {
        assert!(check(&per_seat(text, "usd")).is_ok(), "{text}");
    }
    for (text, currency) in [
        ("1e2", "usd"),
        ("-1", "usd"),
        ("0.0000000000001", "usd"),
        ("100000000", "usd"),
        ("99999999.5", "usd"),
        ("0.5", "kwd"),
        ("50", "isk"),
    ] {
        assert_eq!(
            refused_at(&per_seat(text, currency)),
            ["/p/price/unit_amount_decimal"],
            "{text} {currency}"
        );
    }
    let mut both = per_seat("5", "usd");
    both.price.as_mut().unwrap().amount = Some(5);
    assert_eq!(refused_at(&both), ["/p/price/unit_amount_decimal"]);
    let mut of_flat = per_seat("5", "usd");
    of_flat.model = "flat".to_owned();
    assert_eq!(refused_at(&of_flat), ["/p/price/unit_amount_decimal"]);
}

#[test]
fn intervals_last_three_years_at_most() {
    let with = |unit: &str, count| PricingDraft {
        interval: Some(IntervalDraft {
            unit: unit.to_owned(),
            count,
        }),
        ..flat(1, "usd")
    };
    for (unit, max) in [("day", 1095), ("week", 156), ("month", 36), ("year", 3)] {
        assert!(check(&with(unit, 1)).is_ok());
        assert!(check(&with(unit, max)).is_ok());
        assert_eq!(refused_at(&with(unit, max + 1)), ["/p/interval/count"]);
        assert_eq!(refused_at(&with(unit, 0)), ["/p/interval/count"]);
    }
    assert_eq!(refused_at(&with("hour", 1)), ["/p/interval/unit"]);
}

#[test]
fn a_setup_fee_is_of_the_prices_currency_and_paid_at_the_start() {
    let with = |fee| PricingDraft {
        setup_fee: Some(fee),
        ..flat(1500, "usd")
    };
    let paid = check(&with(PriceDraft::whole(500, "usd"))).unwrap();
    assert_eq!(paid.terms().unwrap().setup_fee.unwrap().amount, 500);
    assert_eq!(
        refused_at(&with(PriceDraft::whole(500, "eur"))),
        ["/p/setup_fee/currency"]
    );
    assert_eq!(
        refused_at(&with(PriceDraft::whole(0, "usd"))),
        ["/p/setup_fee/amount"]
    );
    let mut open = with(PriceDraft::whole(500, "usd"));
    open.trial = Some(trial(14, false));
    assert_eq!(refused_at(&open), ["/p/setup_fee"]);
}

#[test]
fn each_refusal_is_named_at_once() {
    let nothing = PricingDraft {
        model: "flat".to_owned(),
        tax_behavior: Some("maybe".to_owned()),
        ..PricingDraft::default()
    };
    assert_eq!(
        refused_at(&nothing),
        ["/p/price", "/p/interval", "/p/tax_behavior"]
    );
    let free_with_price = PricingDraft {
        model: "free".to_owned(),
        ..flat(1, "usd")
    };
    assert_eq!(refused_at(&free_with_price), ["/p/price", "/p/interval"]);
    let later = PricingDraft {
        model: "graduated".to_owned(),
        ..flat(1, "usd")
    };
    let errors = check(&later).unwrap_err();
    assert_eq!(errors[0].pointer, "/p/model");
    assert!(errors[0].detail.contains("graduated"));
    let unknown = PricingDraft {
        model: "sk_live_secret".to_owned(),
        ..PricingDraft::default()
    };
    let errors = check(&unknown).unwrap_err();
    assert_eq!(errors[0].detail, "Must be free, flat or per_seat.");
}
