//! Sequences: what was given out is not given out again, whatever is rolled back or lost.

use hither::catalog::{Edit, Object, Sequence};
use hither::database::Transaction;
use hither::error::Result;
use hither::types::Type;

use crate::client::now;
use crate::model::{Counter, Place, State};
use crate::work::Worker;

impl Worker {
    /// CREATE SEQUENCE or DROP SEQUENCE.
    pub fn sequences(&mut self, txn: &mut Transaction, state: &mut State) -> Result<()> {
        let names: Vec<String> = state.sequences.keys().cloned().collect();
        if names.len() > 2
            && self.chance.one_in(3)
            && let Some(name) = self.chance.pick(&names)
        {
            self.did("drop sequence");
            let oid = sequence(txn, &name).oid;
            state.sequences.remove(&name);
            return now(txn.edit_catalog(vec![Edit::Delete(oid)]));
        }
        self.did("create sequence");
        self.next_id += 1;
        let name = format!("s{}", self.next_id);
        let increment = [1, 1, 3, -2][self.chance.below(4) as usize];
        let created = Sequence {
            oid: txn.new_oid(),
            schema: "public".into(),
            name: name.clone(),
            ty: Type::Int8,
            start: 10,
            increment,
            min: -1_000_000,
            max: 1_000_000,
            cycle: false,
            cache: 1,
            owned_by: None,
            comment: None,
        };
        let settled = Place { last: created.start, is_called: false };
        self.known().counters.insert(name.clone(), Counter { settled, possible: Vec::new() });
        state.sequences.insert(name, increment);
        now(txn.edit_catalog(vec![Edit::Put(Object::Sequence(created))]))
    }

    /// nextval some times, or setval.
    pub fn use_sequence(&mut self, txn: &mut Transaction, state: &State) -> Result<()> {
        let names: Vec<String> = state.sequences.keys().cloned().collect();
        let Some(name) = self.chance.pick(&names) else { return Ok(()) };
        let oid = sequence(txn, &name).oid;
        self.used.insert(name.clone());
        if self.chance.one_in(5) {
            self.did("setval");
            let place = Place { last: self.chance.below(1000) as i64, is_called: self.chance.one_in(2) };
            self.about_to(&name, place);
            return txn.setval(oid, place.last, place.is_called);
        }
        self.did("nextval");
        for _ in 0..1 + self.chance.below(40) {
            let (last, is_called) = txn.sequence_state(oid)?;
            let wanted = Place { last, is_called }.next(state.sequences[&name]);
            self.about_to(&name, Place { last: wanted, is_called: true });
            assert_eq!(txn.nextval(oid)?, wanted, "of {name}");
        }
        Ok(())
    }

    fn about_to(&mut self, name: &str, place: Place) {
        let mut known = self.known();
        known.counters.get_mut(name).expect("a known sequence").possible.push(place);
    }
}

fn sequence(txn: &Transaction, name: &str) -> Sequence {
    let catalog = txn.catalog();
    let found = catalog.sequence("public", name).unwrap_or_else(|| panic!("no sequence {name}"));
    Sequence::clone(found)
}
