use super::*;
use crate::domain::stripe_link::StripeLink;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn link(id: &str) -> StripeLink {
    StripeLink {
        account: "acct_1".to_owned(),
        mode: Mode::Test,
        id: id.to_owned(),
    }
}

fn customer() -> Customer {
    Customer {
        id: "org_1".to_owned(),
        portal: Slug::parse("acme").unwrap(),
        external_id: "globex".to_owned(),
        name: "Globex".to_owned(),
        email: "billing@globex.example".to_owned(),
        address: None,
        tax_ids: Vec::new(),
        metadata: std::collections::BTreeMap::default(),
        default_payment_method: Some("meth_1".to_owned()),
        stripe: Some(link("cus_1")),
        stripe_at: Some(at(100)),
        version: 3,
        created_at: at(1),
        updated_at: at(1),
    }
}

fn said() -> CustomerSnapshot {
    CustomerSnapshot {
        name: Some("Globex".to_owned()),
        email: Some("billing@globex.example".to_owned()),
        address: Some(Address {
            line2: Some(String::new()),
            ..Address::default()
        }),
        default_payment_method: DefaultMethod::Ours("meth_1".to_owned()),
        at: at(100),
    }
}

#[test]
fn a_customer_that_stripe_shows_alike_does_not_differ() {
    let (after, fields) = customer_after(&customer(), &said());
    assert_eq!((after, fields), (customer(), Vec::new()));
    // What Stripe was never told, or what is unknown here, says nothing.
    let silent = CustomerSnapshot {
        name: None,
        email: Some(String::new()),
        default_payment_method: DefaultMethod::Unknown,
        ..said()
    };
    assert_eq!(customer_after(&customer(), &silent).1, Vec::<&str>::new());
}

#[test]
fn each_field_of_a_customer_is_compared_unless_ours_is_newer() {
    let address = Address {
        city: Some("Springfield".to_owned()),
        ..Address::default()
    };
    let other = CustomerSnapshot {
        name: Some("Globex Corp".to_owned()),
        email: Some("money@globex.example".to_owned()),
        address: Some(address.clone()),
        default_payment_method: DefaultMethod::Nothing,
        at: at(100),
    };
    let (after, fields) = customer_after(&customer(), &other);
    assert_eq!(
        fields,
        ["name", "email", "address", "default_payment_method"]
    );
    assert_eq!(after.name, "Globex Corp");
    assert_eq!(after.email, "money@globex.example");
    assert_eq!(after.address, Some(address));
    assert_eq!(after.default_payment_method, None);
    // Hearing it once more changes nothing.
    assert_eq!(customer_after(&after, &other).1, Vec::<&str>::new());
    let older = CustomerSnapshot {
        at: at(99),
        ..other
    };
    assert_eq!(
        customer_after(&customer(), &older),
        (customer(), Vec::new())
    );
}

#[test]
fn what_stripe_shows_as_attached_can_be_paid_with() {
    let card = |month| {
        Some(Card {
            exp_month: Some(month),
            ..Card::default()
        })
    };
    let method = PaymentMethod {
        id: "meth_1".to_owned(),
        portal: Slug::parse("acme").unwrap(),
        customer_id: "org_1".to_owned(),
        method_type: "card".to_owned(),
        state: State::RequiresAction,
        card: card(1),
        stripe: link("pm_1"),
        stripe_at: Some(at(100)),
        version: 1,
        created_at: at(1),
        updated_at: at(1),
    };
    let said = MethodSnapshot {
        card: card(2),
        at: at(100),
    };
    let (after, fields) = method_after(&method, &said);
    assert_eq!(fields, ["status", "card"]);
    assert_eq!((after.state, &after.card), (State::Usable, &card(2)));
    assert_eq!(method_after(&after, &said).1, Vec::<&str>::new());
    let older = MethodSnapshot { at: at(99), ..said };
    assert_eq!(method_after(&method, &older), (method, Vec::new()));
}

#[test]
fn sweeps_are_at_the_same_times_on_every_replica_and_spread_over_portals() {
    let hour = 60 * 60 * 1000;
    let mut offsets = std::collections::BTreeSet::new();
    for number in 0..50 {
        let portal = Slug::parse(&format!("portal-{number}")).unwrap();
        let now = Timestamp::from_millis(1_764_000_000_123);
        let slot = sweep_slot(&portal, now, hour);
        let age = now.millis_since(slot);
        assert!((0..hour).contains(&age), "{age}");
        // It stays the same until the next one, which is exactly one interval later.
        assert_eq!(sweep_slot(&portal, slot, hour), slot);
        assert_eq!(sweep_slot(&portal, slot.plus_millis(hour - 1), hour), slot);
        let next = slot.plus_millis(hour);
        assert_eq!(sweep_slot(&portal, next, hour), next);
        offsets.insert(slot.as_millis().rem_euclid(hour));
    }
    assert!(offsets.len() > 45, "{offsets:?}");
}

#[test]
fn every_phase_comes_once_and_leads_to_the_end() {
    let mut phase = Phase::Adopt;
    let mut seen = vec![phase];
    while phase != Phase::Over {
        phase = phase.next();
        seen.push(phase);
    }
    assert_eq!(seen, Phase::ALL);
    assert_eq!(Phase::Over.next(), Phase::Over);
}
