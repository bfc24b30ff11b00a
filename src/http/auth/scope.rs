//! Scopes: what a token allows, and the types by which a route names the one it needs.

use std::fmt;

/// Defines each scope once: the enum's variant, its text, and the marker type of the same name.
macro_rules! scopes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal @ $bit:literal,)+) => {
        /// What a token allows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Scope { $($(#[doc = $doc])+ $name = 1 << $bit,)+ }

        impl Scope {
            /// Every scope there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The scope as it stands in a token.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Reads a scope; `None` when there is none of that name.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)+ _ => None }
            }
        }

        /// Types that stand for a scope in a handler's signature.
        pub mod required {
            use super::{RequiredScope, Scope};

            $(
                #[doc = concat!("Needs `", $text, "`.")]
                #[derive(Clone, Copy, Debug)]
                pub struct $name;

                impl RequiredScope for $name {
                    const SCOPE: Scope = Scope::$name;
                }
            )+
        }
    };
}

scopes! {
    /// See portals.
    PortalsRead = "portals:read" @ 0,
    /// Make, change and remove portals.
    PortalsWrite = "portals:write" @ 1,
    /// See modules and whether they are ready.
    ModulesRead = "modules:read" @ 2,
    /// Enable, disable and set up modules.
    ModulesWrite = "modules:write" @ 3,
    /// Store, verify, rotate and remove credentials. They can be read by no scope.
    CredentialsWrite = "credentials:write" @ 4,
    /// See products and plans.
    CatalogRead = "catalog:read" @ 5,
    /// Publish, change and retire products and plans.
    CatalogWrite = "catalog:write" @ 6,
    /// See customers.
    CustomersRead = "customers:read" @ 7,
    /// Make, change and remove customers.
    CustomersWrite = "customers:write" @ 8,
    /// See saved payment methods.
    PaymentMethodsRead = "payment_methods:read" @ 9,
    /// Save, choose and remove payment methods.
    PaymentMethodsWrite = "payment_methods:write" @ 10,
    /// See subscriptions.
    SubscriptionsRead = "subscriptions:read" @ 11,
    /// Subscribe, change and cancel.
    SubscriptionsWrite = "subscriptions:write" @ 12,
    /// See invoices.
    InvoicesRead = "invoices:read" @ 13,
    /// Pay, void and refund invoices.
    InvoicesWrite = "invoices:write" @ 14,
    /// See what was consumed.
    UsageRead = "usage:read" @ 15,
    /// Report what was consumed.
    UsageWrite = "usage:write" @ 16,
    /// Ask whether a subscription may use the API now.
    AccessRead = "access:read" @ 17,
    /// See webhook endpoints and deliveries.
    WebhooksRead = "webhooks:read" @ 18,
    /// Make, change, replay and remove webhook endpoints.
    WebhooksWrite = "webhooks:write" @ 19,
    /// Read the event feed.
    EventsRead = "events:read" @ 20,
    /// See operations.
    OperationsRead = "operations:read" @ 21,
    /// Retry operations and reconcile.
    OperationsWrite = "operations:write" @ 22,
    /// Read the audit log.
    AuditRead = "audit:read" @ 23,
}

impl Scope {
    const fn bit(self) -> u32 {
        #[expect(clippy::as_conversions, reason = "the discriminant is the bit")]
        let bit = self as u32;
        bit
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A scope named by a type, so that a handler's signature says what it needs and the API document
/// says the same.
pub trait RequiredScope: 'static {
    /// The scope.
    const SCOPE: Scope;
}

/// The scopes of one token.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ScopeSet(u32);

impl ScopeSet {
    /// No scope at all.
    pub const EMPTY: Self = Self(0);

    /// Every scope there is.
    pub fn all() -> Self {
        Scope::ALL.iter().copied().collect()
    }

    /// Reads the `scope` claim (RFC 8693 §4.2): names with spaces between them. Names of other
    /// services are no concern of ours and are left out.
    pub fn parse_claim(claim: &str) -> Self {
        claim.split(' ').filter_map(Scope::parse).collect()
    }

    /// Whether `scope` is among them.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// The scopes, in the order of their declaration.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .iter()
            .copied()
            .filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

/// As it stands in a token: names with spaces between them.
impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{scope}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_has_a_bit_and_a_text_of_its_own() {
        let all: ScopeSet = Scope::ALL.iter().copied().collect();
        assert_eq!(all.iter().count(), Scope::ALL.len());
        assert_eq!(Scope::ALL.len(), 24);
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(*scope));
            let one = ScopeSet::parse_claim(scope.as_str());
            assert_eq!(one.iter().collect::<Vec<_>>(), [*scope]);
        }
        assert_eq!(ScopeSet::parse_claim(&all.to_string()), all);
    }

    #[test]
    fn only_exact_names_count() {
        for claim in [
            "",
            " ",
            "portals",
            "Portals:read",
            "portals:read,portals:write",
            "*",
            "portals:*",
            "openid\tportals:read",
            "portals:read\n",
        ] {
            assert_eq!(ScopeSet::parse_claim(claim), ScopeSet::EMPTY, "{claim:?}");
        }
        let set = ScopeSet::parse_claim("openid  audit:read profile portals:read audit:read");
        assert_eq!(set.to_string(), "portals:read audit:read");
        assert!(set.contains(required::AuditRead::SCOPE) && !set.contains(Scope::PortalsWrite));
    }
}
