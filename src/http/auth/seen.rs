//! Tokens that were verified a short while ago: a caller shows the same one with each request, and
//! checking its signature costs more than most answers.
//!
//! Of a token only its digest is kept, and it counts for as long as the very keys are held that it was
//! verified with: when an issuer's keys are read again, so are its tokens. Their times are checked each
//! time.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use super::claims::Bearer;
use super::keys::KeySet;

/// Tokens that are remembered: some megabytes.
const SEEN_MAX: usize = 8_192;

/// A token's name here.
pub(super) type Fingerprint = [u8; SHA256_OUTPUT_LEN];

/// What a token was verified with.
pub(super) enum VerifiedBy {
    /// The development secret, which does not change while the process runs.
    Development,
    /// These keys of the issuer at this place in the settings.
    Issuer(usize, Arc<KeySet>),
}

/// A token that was good.
pub(super) struct Seen {
    pub(super) bearer: Bearer,
    pub(super) by: VerifiedBy,
}

/// The tokens of late.
#[derive(Default)]
pub(super) struct SeenTokens(RwLock<HashMap<Fingerprint, Arc<Seen>>>);

/// The name of a token.
pub(super) fn fingerprint(token: &str) -> Fingerprint {
    let mut name = [0; SHA256_OUTPUT_LEN];
    name.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    name
}

impl SeenTokens {
    pub(super) fn get(&self, name: &Fingerprint) -> Option<Arc<Seen>> {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
        seen.get(name).map(Arc::clone)
    }

    pub(super) fn put(&self, name: Fingerprint, token: Seen) {
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= SEEN_MAX {
            // Whoever still calls is known again at once.
            seen.clear();
        }
        seen.insert(name, Arc::new(token));
    }
}
