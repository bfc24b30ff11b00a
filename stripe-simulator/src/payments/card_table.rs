//! The table of Stripe's test cards.
//!
//! Source: <https://docs.stripe.com/testing>, sections "Cards by brand", "Cards by country",
//! "Declined payments", "Fraud prevention", "Disputes", "Refunds", "Available balance" and
//! "3D Secure authentication". A name stands for both `pm_card_<name>` and `tok_<name>`.

use super::cards::{
    Authentication, Behaviour, Brand, ChargeAnswer, Check, DisputeKind, Funding, RefundAnswer,
    Risk, TestCard,
};
use super::decline::Decline;

use Brand::{Amex, CartesBancaires, Diners, Discover, EftposAu, Jcb, Mastercard, Unionpay, Visa};
use Funding::{Credit, Debit, Prepaid};

/// Every check passes, every charge and refund succeeds.
const SUCCEEDS: Behaviour = Behaviour {
    verify: None,
    charge: ChargeAnswer::Approve,
    authentication: Authentication::Never,
    dispute: None,
    refund: RefundAnswer::Succeeds,
    cvc_check: Check::Pass,
    line1_check: Check::Pass,
    postal_check: Check::Pass,
    risk: Risk::Normal,
    challenge: false,
    bypass_pending: false,
};

const fn declines(decline: Decline) -> Behaviour {
    Behaviour {
        verify: Some(decline),
        charge: ChargeAnswer::Decline(decline),
        ..SUCCEEDS
    }
}

const fn authenticates(authentication: Authentication) -> Behaviour {
    Behaviour {
        authentication,
        ..SUCCEEDS
    }
}

const fn authenticates_then(decline: Decline) -> Behaviour {
    Behaviour {
        authentication: Authentication::Always,
        charge: ChargeAnswer::Decline(decline),
        ..SUCCEEDS
    }
}

const fn disputed(kind: DisputeKind) -> Behaviour {
    Behaviour {
        dispute: Some(kind),
        ..SUCCEEDS
    }
}

const fn refunds(refund: RefundAnswer) -> Behaviour {
    Behaviour { refund, ..SUCCEEDS }
}

const fn checks(cvc_check: Check, line1_check: Check, postal_check: Check) -> Behaviour {
    Behaviour {
        cvc_check,
        line1_check,
        postal_check,
        ..SUCCEEDS
    }
}

const fn card(
    number: &'static str,
    names: &'static [&'static str],
    brand: Brand,
    funding: Funding,
    country: &'static str,
    behaviour: Behaviour,
) -> TestCard {
    TestCard {
        number,
        names,
        brand,
        funding,
        country,
        behaviour,
    }
}

/// A United States Visa credit card with a behaviour of its own.
const fn visa(
    number: &'static str,
    names: &'static [&'static str],
    behaviour: Behaviour,
) -> TestCard {
    card(number, names, Visa, Credit, "US", behaviour)
}

/// A Visa credit card of a country that always succeeds.
const fn abroad(
    number: &'static str,
    names: &'static [&'static str],
    country: &'static str,
) -> TestCard {
    card(number, names, Visa, Credit, country, SUCCEEDS)
}

/// All test cards.
pub(crate) static TEST_CARDS: &[TestCard] = &[
    // Cards by brand.
    visa("4242424242424242", &["visa", "us"], SUCCEEDS),
    visa("4012888888881881", &[], SUCCEEDS),
    visa("4111111111111111", &[], SUCCEEDS),
    card(
        "4000056655665556",
        &["visa_debit"],
        Visa,
        Debit,
        "US",
        SUCCEEDS,
    ),
    card(
        "5555555555554444",
        &["mastercard"],
        Mastercard,
        Credit,
        "US",
        SUCCEEDS,
    ),
    card("2223003122003222", &[], Mastercard, Credit, "US", SUCCEEDS),
    card(
        "5200828282828210",
        &["mastercard_debit"],
        Mastercard,
        Debit,
        "US",
        SUCCEEDS,
    ),
    card(
        "5105105105105100",
        &["mastercard_prepaid"],
        Mastercard,
        Prepaid,
        "US",
        SUCCEEDS,
    ),
    card("371449635398431", &["amex"], Amex, Credit, "US", SUCCEEDS),
    card(
        "378282246310005",
        &["amex_threeDSecureNotSupported"],
        Amex,
        Credit,
        "US",
        SUCCEEDS,
    ),
    card(
        "6011000990139424",
        &["discover"],
        Discover,
        Credit,
        "US",
        SUCCEEDS,
    ),
    card("6011111111111117", &[], Discover, Credit, "US", SUCCEEDS),
    card(
        "6011981111111113",
        &["discover_debit"],
        Discover,
        Debit,
        "US",
        SUCCEEDS,
    ),
    card(
        "36227206271667",
        &["diners"],
        Diners,
        Credit,
        "US",
        SUCCEEDS,
    ),
    card("3056930009020004", &[], Diners, Credit, "US", SUCCEEDS),
    card("3566002020360505", &["jcb"], Jcb, Credit, "JP", SUCCEEDS),
    card("3530111333300000", &["jp_jcb"], Jcb, Credit, "JP", SUCCEEDS),
    card(
        "6200000000000005",
        &["unionpay"],
        Unionpay,
        Credit,
        "CN",
        SUCCEEDS,
    ),
    card(
        "6200000000000047",
        &["unionpay_debit"],
        Unionpay,
        Debit,
        "CN",
        SUCCEEDS,
    ),
    card("6205500000000000004", &[], Unionpay, Credit, "CN", SUCCEEDS),
    card(
        "4000002500001001",
        &["visa_cartesBancaires"],
        CartesBancaires,
        Debit,
        "FR",
        SUCCEEDS,
    ),
    card(
        "5555552500001001",
        &["mastercard_cartesBancaires"],
        CartesBancaires,
        Debit,
        "FR",
        SUCCEEDS,
    ),
    card(
        "4000050360000001",
        &["visa_debit_eftposAuCoBranded"],
        EftposAu,
        Debit,
        "AU",
        SUCCEEDS,
    ),
    card(
        "5555050360000080",
        &["mastercard_debit_eftposAuCoBranded"],
        EftposAu,
        Debit,
        "AU",
        SUCCEEDS,
    ),
    // Cards by country.
    abroad("4000000320000021", &["ar"], "AR"),
    abroad("4000000760000002", &["br"], "BR"),
    abroad("4000001240000000", &["ca"], "CA"),
    abroad("4000001520000001", &["cl"], "CL"),
    abroad("4000001700000003", &["co"], "CO"),
    abroad("4000001880000005", &["cr"], "CR"),
    abroad("4000002180000000", &["ec"], "EC"),
    abroad("4000004840008001", &["mx"], "MX"),
    abroad("4000005910000000", &["pa"], "PA"),
    abroad("4000006000000066", &["py"], "PY"),
    abroad("4000006040000068", &["pe"], "PE"),
    abroad("4000008580000003", &["uy"], "UY"),
    abroad("4000007840000001", &["ae"], "AE"),
    card(
        "5200007840000022",
        &["ae_mastercard"],
        Mastercard,
        Credit,
        "AE",
        SUCCEEDS,
    ),
    abroad("4000000400000008", &["at"], "AT"),
    abroad("4000000560000004", &["be"], "BE"),
    abroad("4000001000000000", &["bg"], "BG"),
    abroad("4000001120000005", &["by"], "BY"),
    abroad("4000001910000009", &["hr"], "HR"),
    abroad("4000001960000008", &["cy"], "CY"),
    abroad("4000002030000002", &["cz"], "CZ"),
    abroad("4000002080000001", &["dk"], "DK"),
    abroad("4000002330000009", &["ee"], "EE"),
    abroad("4000002460000001", &["fi"], "FI"),
    abroad("4000002500000003", &["fr"], "FR"),
    abroad("4000002760000016", &["de"], "DE"),
    abroad("4000002920000005", &["gi"], "GI"),
    abroad("4000003000000030", &["gr"], "GR"),
    abroad("4000003480000005", &["hu"], "HU"),
    abroad("4000003720000005", &["ie"], "IE"),
    abroad("4000003800000008", &["it"], "IT"),
    abroad("4000004280000005", &["lv"], "LV"),
    abroad("4000004380000004", &["li"], "LI"),
    abroad("4000004400000000", &["lt"], "LT"),
    abroad("4000004420000006", &["lu"], "LU"),
    abroad("4000004700000007", &["mt"], "MT"),
    abroad("4000005280000002", &["nl"], "NL"),
    abroad("4000005780000007", &["no"], "NO"),
    abroad("4000006160000005", &["pl"], "PL"),
    abroad("4000006200000007", &["pt"], "PT"),
    abroad("4000006420000001", &["ro"], "RO"),
    abroad("4000006820000007", &["sa"], "SA"),
    abroad("4000007050000006", &["si"], "SI"),
    abroad("4000007030000001", &["sk"], "SK"),
    abroad("4000007240000007", &["es"], "ES"),
    abroad("4000007520000008", &["se"], "SE"),
    abroad("4000007560000009", &["ch"], "CH"),
    abroad("4000008260000000", &["gb"], "GB"),
    card(
        "4000058260000005",
        &["gb_debit"],
        Visa,
        Debit,
        "GB",
        SUCCEEDS,
    ),
    card(
        "5555558265554449",
        &["gb_mastercard"],
        Mastercard,
        Credit,
        "GB",
        SUCCEEDS,
    ),
    abroad("4000000360000006", &["au"], "AU"),
    abroad("4000001560000002", &["cn"], "CN"),
    abroad("4000003440000004", &["hk"], "HK"),
    abroad("4000003560000008", &["in"], "IN"),
    abroad("4000003920000003", &["jp"], "JP"),
    abroad("4000004580000002", &["my"], "MY"),
    abroad("4000005540000008", &["nz"], "NZ"),
    abroad("4000007020000003", &["sg"], "SG"),
    abroad("4000001580000008", &["tw"], "TW"),
    abroad("4000007640000003", &["th_credit"], "TH"),
    card(
        "4000057640000008",
        &["th_debit"],
        Visa,
        Debit,
        "TH",
        SUCCEEDS,
    ),
    // Declined payments: none of these can be attached, but for the last.
    visa(
        "4000000000000002",
        &["chargeDeclined", "visa_chargeDeclined"],
        declines(Decline::Generic),
    ),
    visa(
        "4000000000009995",
        &[
            "chargeDeclinedInsufficientFunds",
            "visa_chargeDeclinedInsufficientFunds",
        ],
        declines(Decline::InsufficientFunds),
    ),
    visa(
        "4000000000009987",
        &["chargeDeclinedLostCard", "visa_chargeDeclinedLostCard"],
        declines(Decline::LostCard),
    ),
    visa(
        "4000000000009979",
        &["chargeDeclinedStolenCard", "visa_chargeDeclinedStolenCard"],
        declines(Decline::StolenCard),
    ),
    visa(
        "4000000000000069",
        &["chargeDeclinedExpiredCard"],
        declines(Decline::ExpiredCard),
    ),
    visa(
        "4000000000000127",
        &["chargeDeclinedIncorrectCvc"],
        Behaviour {
            cvc_check: Check::Fail,
            ..declines(Decline::IncorrectCvc)
        },
    ),
    visa(
        "4000000000000119",
        &["chargeDeclinedProcessingError"],
        declines(Decline::ProcessingError),
    ),
    visa(
        "4000000000006975",
        &[
            "chargeDeclinedVelocityLimitExceeded",
            "visa_chargeDeclinedVelocityLimitExceeded",
        ],
        declines(Decline::VelocityExceeded),
    ),
    visa(
        "4000000000000341",
        &["chargeCustomerFail"],
        Behaviour {
            charge: ChargeAnswer::Decline(Decline::Generic),
            ..SUCCEEDS
        },
    ),
    // Fraud prevention.
    visa(
        "4100000000000019",
        &["radarBlock", "chargeDeclinedFraudulent"],
        Behaviour {
            risk: Risk::Highest,
            ..declines(Decline::Fraudulent)
        },
    ),
    visa(
        "4000000000004954",
        &["riskLevelHighest"],
        Behaviour {
            risk: Risk::Highest,
            charge: ChargeAnswer::Decline(Decline::Fraudulent),
            ..SUCCEEDS
        },
    ),
    visa(
        "4000000000009235",
        &["riskLevelElevated"],
        Behaviour {
            risk: Risk::Elevated,
            ..SUCCEEDS
        },
    ),
    visa(
        "4000000000000101",
        &["cvcCheckFail"],
        checks(Check::Fail, Check::Pass, Check::Pass),
    ),
    visa(
        "4000000000000036",
        &["avsZipFail"],
        checks(Check::Pass, Check::Pass, Check::Fail),
    ),
    visa(
        "4000000000000028",
        &["avsLine1Fail"],
        checks(Check::Pass, Check::Fail, Check::Pass),
    ),
    visa(
        "4000000000000010",
        &["avsFail"],
        checks(Check::Pass, Check::Fail, Check::Fail),
    ),
    visa(
        "4000000000000044",
        &["avsUnchecked"],
        checks(Check::Pass, Check::Unavailable, Check::Unavailable),
    ),
    // Disputes.
    visa(
        "4000000000000259",
        &["createDispute"],
        disputed(DisputeKind::Fraudulent),
    ),
    visa(
        "4000000000002685",
        &["createDisputeProductNotReceived"],
        disputed(DisputeKind::ProductNotReceived),
    ),
    visa(
        "4000000000001976",
        &["createDisputeInquiry"],
        disputed(DisputeKind::Inquiry),
    ),
    visa(
        "4000000000005423",
        &["createIssuerFraudRecord"],
        disputed(DisputeKind::EarlyFraudWarning),
    ),
    // Refunds.
    visa(
        "4000000000007726",
        &["pendingRefund"],
        refunds(RefundAnswer::Pending),
    ),
    visa(
        "4000000000005126",
        &["refundFail"],
        refunds(RefundAnswer::Fails),
    ),
    // Available balance.
    visa(
        "4000000000000077",
        &["bypassPending"],
        Behaviour {
            bypass_pending: true,
            ..SUCCEEDS
        },
    ),
    card(
        "4000003720000278",
        &["bypassPendingInternational"],
        Visa,
        Credit,
        "IE",
        Behaviour {
            bypass_pending: true,
            ..SUCCEEDS
        },
    ),
    visa("4000000000000093", &["domesticPricing"], SUCCEEDS),
    // 3D Secure: authentication and setup.
    card(
        "4000002500003155",
        &["authenticationRequiredOnSetup"],
        Visa,
        Credit,
        "FR",
        authenticates(Authentication::UnlessSetUp),
    ),
    card(
        "4000002760003184",
        &["authenticationRequired"],
        Visa,
        Credit,
        "DE",
        authenticates(Authentication::Always),
    ),
    card(
        "4000003800000446",
        &["authenticationRequiredSetupForOffSession"],
        Visa,
        Credit,
        "IT",
        authenticates(Authentication::OnSessionOnly),
    ),
    card(
        "4000008260003178",
        &["authenticationRequiredChargeDeclinedInsufficientFunds"],
        Visa,
        Credit,
        "GB",
        authenticates_then(Decline::InsufficientFunds),
    ),
    // 3D Secure: support and availability.
    card(
        "4000000000003220",
        &["threeDSecure2Required"],
        Visa,
        Credit,
        "IE",
        authenticates(Authentication::Always),
    ),
    card(
        "4000000000003063",
        &["threeDSecureRequired"],
        Visa,
        Credit,
        "US",
        authenticates(Authentication::Always),
    ),
    visa(
        "4000008400000027",
        &[],
        authenticates(Authentication::Always),
    ),
    visa(
        "4000008400001629",
        &["threeDSecureRequiredChargeDeclined"],
        authenticates_then(Decline::Generic),
    ),
    visa(
        "4000008400001280",
        &["threeDSecureRequiredProcessingError"],
        declines(Decline::ProcessingError),
    ),
    visa(
        "4000000000003055",
        &["threeDSecureOptional"],
        Behaviour {
            challenge: true,
            ..SUCCEEDS
        },
    ),
    visa(
        "4000000000003097",
        &["threeDSecureOptionalProcessingError"],
        SUCCEEDS,
    ),
    visa("4000000032200000", &[], SUCCEEDS),
    // 3D Secure: mobile challenge flows.
    visa(
        "4000582600000094",
        &[],
        authenticates(Authentication::Always),
    ),
    visa(
        "4000582600000045",
        &[],
        authenticates(Authentication::Always),
    ),
    visa(
        "4000582600000102",
        &[],
        authenticates(Authentication::Always),
    ),
    visa(
        "4000582600000110",
        &[],
        authenticates(Authentication::Always),
    ),
];
