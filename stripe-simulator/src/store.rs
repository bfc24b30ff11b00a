//! Objects of one kind: by id, in order of creation, and by secondary keys.

use std::collections::{BTreeSet, HashMap};
use std::ops::{Deref, DerefMut};

/// A secondary key: the name of the index and the value in it, such as `("customer", "cus_1")`.
pub(crate) type Key = (&'static str, String);

/// What a [`Store`] keeps.
pub(crate) trait Stored {
    /// The object's id, fixed for its life.
    fn id(&self) -> &str;

    /// Creation time in Unix seconds of the object's clock.
    fn created(&self) -> i64;

    /// Every secondary key the object is found by now. They may change with the object.
    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }

    /// A deleted object is still found by id (Stripe answers `deleted: true`) but never listed.
    fn is_deleted(&self) -> bool {
        false
    }
}

/// A map from id to object that lists newest first and filters by key without a scan.
#[derive(Debug)]
pub(crate) struct Store<T> {
    slots: Vec<Option<T>>,
    by_id: HashMap<String, usize>,
    by_key: HashMap<&'static str, HashMap<String, BTreeSet<usize>>>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            by_id: HashMap::new(),
            by_key: HashMap::new(),
        }
    }
}

impl<T: Stored> Store<T> {
    /// Adds an object. An object of the same id is replaced in place.
    pub(crate) fn insert(&mut self, object: T) {
        if let Some(slot) = self.by_id.get(object.id()).copied() {
            let before = self
                .slots
                .get(slot)
                .and_then(Option::as_ref)
                .map_or_else(Vec::new, T::keys);
            let after = object.keys();
            if let Some(place) = self.slots.get_mut(slot) {
                *place = Some(object);
            }
            self.reindex(slot, &before, after);
            return;
        }
        let slot = self.slots.len();
        self.by_id.insert(object.id().to_owned(), slot);
        for (name, value) in object.keys() {
            self.by_key
                .entry(name)
                .or_default()
                .entry(value)
                .or_default()
                .insert(slot);
        }
        self.slots.push(Some(object));
    }

    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.slots.get(*self.by_id.get(id)?)?.as_ref()
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// The object for change; its keys are indexed anew when the guard is dropped.
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<Changing<'_, T>> {
        let slot = *self.by_id.get(id)?;
        let before = self.slots.get(slot)?.as_ref()?.keys();
        // The object is taken out for the life of the guard, which puts it back.
        let object = self.slots.get_mut(slot)?.take()?;
        Some(Changing {
            store: self,
            slot,
            before,
            object: Some(object),
        })
    }

    /// Takes the object out for good; its id becomes unknown.
    pub(crate) fn remove(&mut self, id: &str) -> Option<T> {
        let slot = self.by_id.remove(id)?;
        let object = self.slots.get_mut(slot)?.take()?;
        self.reindex(slot, &object.keys(), Vec::new());
        Some(object)
    }

    /// The number of objects, deleted ones that are still found by id included.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Every listed object, newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &T> {
        self.slots
            .iter()
            .rev()
            .flatten()
            .filter(|object| !object.is_deleted())
    }

    /// Every listed object, oldest first.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = &T> {
        self.slots
            .iter()
            .flatten()
            .filter(|object| !object.is_deleted())
    }

    /// The listed objects under a secondary key, newest first.
    pub(crate) fn by_key(&self, name: &str, value: &str) -> impl DoubleEndedIterator<Item = &T> {
        self.by_key
            .get(name)
            .and_then(|index| index.get(value))
            .into_iter()
            .flatten()
            .rev()
            .filter_map(|slot| self.slots.get(*slot)?.as_ref())
            .filter(|object| !object.is_deleted())
    }

    /// The ids of the listed objects under a secondary key, oldest first: for loops that change
    /// what they visit.
    pub(crate) fn ids_by_key(&self, name: &str, value: &str) -> Vec<String> {
        self.by_key(name, value)
            .rev()
            .map(|object| object.id().to_owned())
            .collect()
    }

    /// The listed objects older than the cursor (`starting_after`), newest first; all of them
    /// without one. `None` when the cursor is unknown.
    pub(crate) fn after<'a>(
        &'a self,
        key: Option<(&str, &str)>,
        cursor: Option<&str>,
    ) -> Option<Box<dyn Iterator<Item = &'a T> + 'a>> {
        let end = match cursor {
            Some(id) => *self.by_id.get(id)?,
            None => self.slots.len(),
        };
        Some(match key {
            Some((name, value)) => Box::new(
                self.key_slots(name, value)
                    .into_iter()
                    .flat_map(move |slots| slots.range(..end).rev())
                    .filter_map(|slot| self.listed(*slot)),
            ),
            None => Box::new((0..end).rev().filter_map(|slot| self.listed(slot))),
        })
    }

    /// The listed objects newer than the cursor (`ending_before`), oldest first.
    /// `None` when the cursor is unknown.
    pub(crate) fn before<'a>(
        &'a self,
        key: Option<(&str, &str)>,
        cursor: &str,
    ) -> Option<Box<dyn Iterator<Item = &'a T> + 'a>> {
        let start = *self.by_id.get(cursor)? + 1;
        Some(match key {
            Some((name, value)) => Box::new(
                self.key_slots(name, value)
                    .into_iter()
                    .flat_map(move |slots| slots.range(start..))
                    .filter_map(|slot| self.listed(*slot)),
            ),
            None => Box::new((start..self.slots.len()).filter_map(|slot| self.listed(slot))),
        })
    }

    fn key_slots(&self, name: &str, value: &str) -> Option<&BTreeSet<usize>> {
        self.by_key.get(name)?.get(value)
    }

    fn listed(&self, slot: usize) -> Option<&T> {
        self.slots
            .get(slot)?
            .as_ref()
            .filter(|object| !object.is_deleted())
    }

    fn reindex(&mut self, slot: usize, before: &[Key], after: Vec<Key>) {
        if *before == after {
            return;
        }
        for (name, value) in before {
            if let Some(index) = self.by_key.get_mut(name)
                && let Some(slots) = index.get_mut(value)
            {
                slots.remove(&slot);
                if slots.is_empty() {
                    index.remove(value);
                }
            }
        }
        for (name, value) in after {
            self.by_key
                .entry(name)
                .or_default()
                .entry(value)
                .or_default()
                .insert(slot);
        }
    }
}

/// An object being changed; dropping it puts the object back and indexes its keys anew.
pub(crate) struct Changing<'a, T: Stored> {
    store: &'a mut Store<T>,
    slot: usize,
    before: Vec<Key>,
    object: Option<T>,
}

impl<T: Stored> Deref for Changing<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.object {
            Some(object) => object,
            // The object leaves the guard only in `drop`, after which nothing can deref.
            None => unreachable!("a guard holds its object until it is dropped"),
        }
    }
}

impl<T: Stored> DerefMut for Changing<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.object {
            Some(object) => object,
            None => unreachable!("a guard holds its object until it is dropped"),
        }
    }
}

impl<T: Stored> Drop for Changing<'_, T> {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            let after = object.keys();
            if let Some(place) = self.store.slots.get_mut(self.slot) {
                *place = Some(object);
            }
            self.store.reindex(self.slot, &self.before, after);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Key, Store, Stored};

    #[derive(Clone, Debug, PartialEq)]
    struct Thing {
        id: String,
        owner: u8,
        deleted: bool,
    }

    impl Stored for Thing {
        fn id(&self) -> &str {
            &self.id
        }

        fn created(&self) -> i64 {
            0
        }

        fn keys(&self) -> Vec<Key> {
            vec![("owner", self.owner.to_string())]
        }

        fn is_deleted(&self) -> bool {
            self.deleted
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, u8),
        Move(u8, u8),
        Delete(u8),
        Remove(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u8..12, 0_u8..3).prop_map(|(id, owner)| Step::Insert(id, owner)),
            (0_u8..12, 0_u8..3).prop_map(|(id, owner)| Step::Move(id, owner)),
            (0_u8..12).prop_map(Step::Delete),
            (0_u8..12).prop_map(Step::Remove),
        ]
    }

    /// The same as a plain list would do it.
    fn apply(model: &mut Vec<Thing>, store: &mut Store<Thing>, step: &Step) {
        let name = |id: u8| format!("t_{id}");
        match *step {
            Step::Insert(id, owner) => {
                let thing = Thing {
                    id: name(id),
                    owner,
                    deleted: false,
                };
                match model.iter_mut().find(|known| known.id == thing.id) {
                    Some(known) => known.clone_from(&thing),
                    None => model.push(thing.clone()),
                }
                store.insert(thing);
            }
            Step::Move(id, owner) => {
                if let Some(known) = model.iter_mut().find(|known| known.id == name(id)) {
                    known.owner = owner;
                }
                if let Some(mut thing) = store.get_mut(&name(id)) {
                    thing.owner = owner;
                }
            }
            Step::Delete(id) => {
                if let Some(known) = model.iter_mut().find(|known| known.id == name(id)) {
                    known.deleted = true;
                }
                if let Some(mut thing) = store.get_mut(&name(id)) {
                    thing.deleted = true;
                }
            }
            Step::Remove(id) => {
                model.retain(|known| known.id != name(id));
                store.remove(&name(id));
            }
        }
    }

    fn ids<'a>(things: impl Iterator<Item = &'a Thing>) -> Vec<String> {
        things.map(|thing| thing.id.clone()).collect()
    }

    proptest! {
        /// Whatever happens to objects, every way of listing them agrees with a plain list.
        #[test]
        fn lists_agree_with_a_plain_list(steps in prop::collection::vec(step(), 0..60)) {
            let (mut model, mut store) = (Vec::new(), Store::default());
            for step in &steps {
                apply(&mut model, &mut store, step);
            }
            prop_assert_eq!(store.len(), model.len());
            let listed: Vec<&Thing> = model.iter().filter(|thing| !thing.deleted).collect();
            prop_assert_eq!(ids(store.oldest_first()), ids(listed.iter().copied()));
            prop_assert_eq!(ids(store.newest_first()), ids(listed.iter().rev().copied()));
            for owner in 0..3_u8 {
                let value = owner.to_string();
                let own = || listed.iter().copied().filter(|thing| thing.owner == owner);
                prop_assert_eq!(store.ids_by_key("owner", &value), ids(own()));
                let key = Some(("owner", value.as_str()));
                for (place, cursor) in model.iter().enumerate() {
                    let older = model[..place].iter().rev();
                    let older = older.filter(|thing| !thing.deleted && thing.owner == owner);
                    let after = store.after(key, Some(&cursor.id)).unwrap();
                    prop_assert_eq!(ids(after), ids(older));
                    let newer = model[place + 1..].iter();
                    let newer = newer.filter(|thing| !thing.deleted && thing.owner == owner);
                    let before = store.before(key, &cursor.id).unwrap();
                    prop_assert_eq!(ids(before), ids(newer));
                }
            }
            prop_assert!(store.after(None, Some("t_none")).is_none());
        }
    }
}
