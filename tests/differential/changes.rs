//! Transactions that write: INSERT, UPDATE, DELETE and MERGE of `dc`, which begins as a copy of `da` each time.
//!
//! What a transaction did is read within it and after its end, whether it commits or not. `dc` is called `da` in each
//! statement, so that expressions over `da` are expressions over it.

use crate::generator::{Columns, Generator};
use crate::random::Random;
use crate::types::{TYPES, Ty, column_of, name_of};

pub fn transaction(random: &mut Random) -> Vec<String> {
    let mut generator = Generator { random, columns: Columns { a: true, b: false } };
    let mut statements =
        vec!["TRUNCATE dc".to_owned(), "INSERT INTO dc SELECT * FROM da".to_owned(), "BEGIN".to_owned()];
    for _ in 0..1 + generator.random.below(3) {
        let savepoint = generator.random.chance(40);
        if savepoint {
            statements.push("SAVEPOINT s".to_owned());
        }
        statements.push(change(&mut generator));
        if savepoint && generator.random.chance(50) {
            statements.push("ROLLBACK TO s".to_owned());
        }
    }
    statements.push("SELECT * FROM dc".to_owned());
    statements.push(generator.random.pick(&["COMMIT", "COMMIT", "ROLLBACK"]).to_owned());
    statements.push("SELECT * FROM dc".to_owned());
    statements
}

fn change(generator: &mut Generator) -> String {
    let filter = format!(" WHERE {}", generator.expression(Ty::Bool, 2));
    match generator.random.below(9) {
        0 => format!("DELETE FROM dc da{filter}{}", returning(generator)),
        1 => format!(
            "DELETE FROM dc da USING db WHERE db.a_id = da.id AND {}{}",
            generator.expression(Ty::Bool, 1),
            returning(generator)
        ),
        2 => insert(generator),
        3 => format!("{} ON CONFLICT DO NOTHING{}", insert(generator), returning(generator)),
        4 => {
            let (head, set) = (insert(generator), assignments(generator));
            format!("{head} ON CONFLICT (id) DO UPDATE SET {set}, t = excluded.t{}", returning(generator))
        }
        5 => merge(generator),
        // One row of db for each row that is changed: which of several it is would be open.
        6 => format!(
            "UPDATE dc da SET {} FROM (SELECT DISTINCT ON (a_id) * FROM db ORDER BY a_id, id) x WHERE x.a_id = da.id{}",
            assignments(generator),
            returning(generator)
        ),
        _ => format!("UPDATE dc da SET {}{filter}{}", assignments(generator), returning(generator)),
    }
}

fn returning(generator: &mut Generator) -> String {
    match generator.random.below(3) {
        0 => String::new(),
        1 => " RETURNING *".to_owned(),
        _ => format!(" RETURNING da.id, {} AS e", generator.expression(Ty::Int4, 1)),
    }
}

fn any_column(generator: &mut Generator) -> (Ty, &'static str) {
    let (ty, _, column) = TYPES[generator.random.below(TYPES.len())];
    (ty, column)
}

/// `t` is left to ON CONFLICT, so that no column is set twice.
fn assignments(generator: &mut Generator) -> String {
    let (ty, column) = match any_column(generator) {
        (Ty::Text, _) => (Ty::Int4, column_of(Ty::Int4)),
        other => other,
    };
    let value = match generator.random.below(12) {
        0 => "DEFAULT".to_owned(),
        1 => "NULL".to_owned(),
        2 => {
            format!("(SELECT max(y.{0}) FROM dc y WHERE y.id < da.id)", column_of(Ty::Int4))
                + "::"
                + name_of(Ty::Int4)
        }
        _ => generator.expression(ty, 1),
    };
    match value.contains("max(y.") {
        true => format!("i8 = {value}"),
        false => format!("{column} = {value}"),
    }
}

/// Some keys are there already, which is an error without ON CONFLICT.
fn insert(generator: &mut Generator) -> String {
    let (ty, column) = match any_column(generator) {
        (Ty::Text, _) => (Ty::Date, column_of(Ty::Date)),
        other => other,
    };
    if generator.random.chance(25) {
        let (value, filter) = (generator.expression(ty, 1), generator.expression(Ty::Bool, 1));
        let ahead = generator.random.pick(&["100", "20"]);
        return format!(
            "INSERT INTO dc AS da (id, {column}, t) SELECT da.id + {ahead}, {value}, da.t FROM da WHERE {filter}"
        );
    }
    generator.columns = Columns { a: false, b: false };
    let count = 1 + generator.random.below(3);
    let first = generator.random.below(40);
    let rows: Vec<String> = (0..count)
        .map(|row| {
            let key = (first + row * 9) % 40;
            format!("({key}, {}, {})", generator.expression(ty, 1), generator.expression(Ty::Text, 1))
        })
        .collect();
    generator.columns = Columns { a: true, b: false };
    format!("INSERT INTO dc AS da (id, {column}, t) VALUES {}", rows.join(", "))
}

fn merge(generator: &mut Generator) -> String {
    let condition = generator.expression(Ty::Bool, 1);
    let matched = match generator.random.below(3) {
        0 => "DELETE".to_owned(),
        1 => "DO NOTHING".to_owned(),
        _ => format!("UPDATE SET {}", assignments(generator)),
    };
    format!(
        "MERGE INTO dc da USING (SELECT DISTINCT ON (a_id) * FROM db ORDER BY a_id, id) x ON da.id = x.a_id \
         WHEN MATCHED AND {condition} THEN {matched} \
         WHEN MATCHED THEN UPDATE SET t = x.t, n = x.n \
         WHEN NOT MATCHED THEN INSERT (id, i4, t) VALUES (x.a_id, x.i4, x.t)"
    )
}
