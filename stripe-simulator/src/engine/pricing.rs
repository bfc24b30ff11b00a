//! What a quantity costs: per unit, graduated, volume, and by package.

use super::decimal::Decimal;

/// How the last, partly filled package counts (`transform_quantity.round`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackageRound {
    /// A started package is paid in full.
    Up,
    /// A started package is free.
    Down,
}

/// Stripe's `transform_quantity`: quantities are divided into packages before they are priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// Units in a package, at least one.
    pub(crate) divide_by: i64,
    /// What becomes of a started one.
    pub(crate) round: PackageRound,
}

impl Package {
    /// How many packages a quantity makes.
    pub(crate) fn count(self, quantity: i64) -> i64 {
        let size = self.divide_by.max(1);
        let whole = quantity.div_euclid(size);
        match self.round {
            PackageRound::Up if quantity.rem_euclid(size) > 0 => whole + 1,
            PackageRound::Up | PackageRound::Down => whole,
        }
    }
}

/// One tier of a tiered price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tier {
    /// The last unit in it; none for the open end (`"inf"`).
    pub(crate) up_to: Option<i64>,
    /// Price per unit, in minor units.
    pub(crate) unit: Decimal,
    /// Price of the tier itself once it is reached, in minor units.
    pub(crate) flat: Option<Decimal>,
}

/// How tiers are read (`tiers_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TiersMode {
    /// Each unit costs what its own tier says.
    Graduated,
    /// All units cost what the tier of the whole quantity says.
    Volume,
}

/// A price's arithmetic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pricing {
    /// So much per unit, or per package.
    PerUnit {
        /// Price of one, in minor units.
        unit: Decimal,
        /// Packages, if units are sold in them.
        package: Option<Package>,
    },
    /// By tiers, in ascending order.
    Tiered {
        /// How they are read.
        mode: TiersMode,
        /// The tiers.
        tiers: Vec<Tier>,
    },
}

/// What a [`Part`] is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartKind {
    /// Units at a price without tiers.
    Units,
    /// Units in the tier of this index.
    TierUnits(usize),
    /// The flat amount of the tier of this index.
    TierFlat(usize),
}

/// One invoice line's worth of a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// What it is paid for.
    pub(crate) kind: PartKind,
    /// How many units it holds, as the line shows them.
    pub(crate) quantity: i64,
    /// What one costs, in minor units.
    pub(crate) unit: Decimal,
    /// The exact amount, in minor units, before the line is rounded.
    pub(crate) exact: Decimal,
}

impl Part {
    /// The amount as the invoice line has it, in minor units.
    pub(crate) fn amount(&self) -> i64 {
        self.exact.round()
    }
}

impl Pricing {
    /// The lines that a quantity makes.
    ///
    /// A price without tiers always makes one. A tiered price makes one for the units in each
    /// tier reached, and one for each flat amount; at quantity zero the first tier's flat amount
    /// is due all the same (Stripe docs, "Tiered pricing", on flat fees).
    pub(crate) fn parts(&self, quantity: i64) -> Vec<Part> {
        match self {
            Self::PerUnit { unit, package } => {
                let count = package.map_or(quantity, |package| package.count(quantity));
                let kind = PartKind::Units;
                let exact = unit.times(count);
                vec![Part {
                    kind,
                    quantity,
                    unit: *unit,
                    exact,
                }]
            }
            Self::Tiered {
                mode: TiersMode::Graduated,
                tiers,
            } => graduated(tiers, quantity),
            Self::Tiered {
                mode: TiersMode::Volume,
                tiers,
            } => volume(tiers, quantity),
        }
    }

    /// The whole amount in minor units: the sum of the lines, each rounded on its own.
    pub(crate) fn amount(&self, quantity: i64) -> i64 {
        self.parts(quantity)
            .iter()
            .fold(0, |sum, part| sum.saturating_add(part.amount()))
    }

    /// The whole amount before any rounding.
    pub(crate) fn exact(&self, quantity: i64) -> Decimal {
        self.parts(quantity)
            .iter()
            .fold(Decimal::ZERO, |sum, part| sum.plus(part.exact))
    }
}

fn graduated(tiers: &[Tier], quantity: i64) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut below = 0;
    for (index, tier) in tiers.iter().enumerate() {
        if index > 0 && quantity <= below {
            break;
        }
        let end = tier.up_to.map_or(quantity, |up_to| up_to.min(quantity));
        tier_parts(&mut parts, index, tier, end.saturating_sub(below).max(0));
        below = tier.up_to.unwrap_or(i64::MAX);
    }
    parts
}

fn volume(tiers: &[Tier], quantity: i64) -> Vec<Part> {
    let mut parts = Vec::new();
    let reached = tiers
        .iter()
        .enumerate()
        .find(|(_, tier)| tier.up_to.is_none_or(|up_to| quantity <= up_to));
    if let Some((index, tier)) = reached {
        tier_parts(&mut parts, index, tier, quantity);
    }
    parts
}

fn tier_parts(parts: &mut Vec<Part>, index: usize, tier: &Tier, quantity: i64) {
    if quantity > 0 || tier.flat.is_none() {
        parts.push(Part {
            kind: PartKind::TierUnits(index),
            quantity,
            unit: tier.unit,
            exact: tier.unit.times(quantity),
        });
    }
    if let Some(flat) = tier.flat {
        parts.push(Part {
            kind: PartKind::TierFlat(index),
            quantity: 0,
            unit: flat,
            exact: flat,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tier(up_to: Option<i64>, unit: &str, flat: Option<i64>) -> Tier {
        Tier {
            up_to,
            unit: Decimal::parse(unit).unwrap(),
            flat: flat.map(Decimal::from_int),
        }
    }

    fn stripes_example(mode: TiersMode) -> Pricing {
        // docs.stripe.com, "Tiered pricing": 1-5 at 7.00, 6-10 at 6.50, 11+ at 6.00.
        let tiers = vec![
            tier(Some(5), "700", None),
            tier(Some(10), "650", None),
            tier(None, "600", None),
        ];
        Pricing::Tiered { mode, tiers }
    }

    #[test]
    fn graduated_and_volume_as_stripe_documents_them() {
        let graduated = stripes_example(TiersMode::Graduated);
        let volume = stripes_example(TiersMode::Volume);
        for (quantity, by_graduation, by_volume) in [
            (1, 700, 700),
            (5, 3500, 3500),
            (6, 4150, 3900),
            (20, 12_750, 12_000),
            (25, 15_750, 15_000),
        ] {
            assert_eq!(
                graduated.amount(quantity),
                by_graduation,
                "graduated {quantity}"
            );
            assert_eq!(volume.amount(quantity), by_volume, "volume {quantity}");
        }
    }

    #[test]
    fn flat_fees_are_due_for_each_tier_reached_and_at_zero() {
        let tiers = vec![
            tier(Some(5), "500", Some(1000)),
            tier(Some(10), "400", Some(2000)),
            tier(None, "300", Some(3000)),
        ];
        let price = Pricing::Tiered {
            mode: TiersMode::Graduated,
            tiers,
        };
        assert_eq!(price.amount(0), 1000);
        assert_eq!(price.amount(5), 2500 + 1000);
        assert_eq!(price.amount(12), 2500 + 2000 + 600 + 1000 + 2000 + 3000);
    }

    #[test]
    fn packages_round_up_or_down() {
        let price = |round| Pricing::PerUnit {
            unit: Decimal::from_int(500),
            package: Some(Package {
                divide_by: 10,
                round,
            }),
        };
        assert_eq!(price(PackageRound::Up).amount(21), 1500);
        assert_eq!(price(PackageRound::Down).amount(21), 1000);
        assert_eq!(price(PackageRound::Up).amount(0), 0);
    }

    #[test]
    fn fractions_of_a_cent_add_up_before_they_are_rounded() {
        let price = |unit| Pricing::PerUnit {
            unit: Decimal::parse(unit).unwrap(),
            package: None,
        };
        assert_eq!(price("0.1").amount(1000), 100);
        assert_eq!(price("0.003").amount(1), 0);
        assert_eq!(price("0.003").amount(500), 2);
    }

    proptest! {
        #[test]
        fn parts_hold_every_unit_once(quantity in 0_i64..10_000, a in 1_i64..100, b in 1_i64..100,
                                      prices in proptest::array::uniform3(0_i64..10_000)) {
            let tiers: Vec<Tier> = [Some(a), Some(a + b), None].into_iter().zip(prices)
                .map(|(up_to, unit)| Tier { up_to, unit: Decimal::from_int(unit), flat: None }).collect();
            for mode in [TiersMode::Graduated, TiersMode::Volume] {
                let price = Pricing::Tiered { mode, tiers: tiers.clone() };
                let units: i64 = price.parts(quantity).iter().map(|part| part.quantity).sum();
                prop_assert_eq!(units, quantity);
            }
        }

        #[test]
        fn graduated_grows_with_the_quantity(quantity in 0_i64..1000, a in 1_i64..50, unit in 0_i64..1000) {
            let tiers = vec![
                Tier { up_to: Some(a), unit: Decimal::from_int(unit), flat: None },
                Tier { up_to: None, unit: Decimal::from_int(unit / 2), flat: Some(Decimal::from_int(7)) },
            ];
            let price = Pricing::Tiered { mode: TiersMode::Graduated, tiers };
            prop_assert!(price.amount(quantity) <= price.amount(quantity + 1));
        }
    }
}
