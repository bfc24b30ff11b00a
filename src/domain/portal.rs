//! One developer portal: the tenant everything else belongs to.

use super::slug::Slug;
use super::text::Metadata;
use crate::clock::Timestamp;

/// Characters of a portal's title.
pub const TITLE_MAX_CHARS: usize = 200;

/// A portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portal {
    /// Its name, chosen by the caller.
    pub id: Slug,
    /// For people.
    pub title: String,
    /// The caller's own keys and values.
    pub metadata: Metadata,
    /// Counts changes, from 1.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
