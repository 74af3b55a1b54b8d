//! Plans that are kept: what is planned again, and that the answers stay fresh.

use super::*;
use crate::sql::plan_cache::PLANS_MADE;

fn world() -> World {
    let world = World::new();
    let mut txn = world.begin();
    let mut random = Random(7);
    let rows =
        (1..=50).map(|id| row(id, Some((id % 5) as i32), &format!("n{id}"), Some(random.vector()))).collect();
    world.insert(&mut txn, rows);
    txn.commit().unwrap();
    world
}

#[test]
fn the_second_execution_plans_nothing_and_sees_new_rows() {
    let w = world();
    let txn = w.begin();
    let query =
        w.plan(&txn, "SELECT id, v <-> $1 FROM t WHERE category = $2 ORDER BY v <-> $1 LIMIT $3").unwrap();
    let target = Value::Vector(vec![9.0; 4]);
    let params = |limit| [target.clone(), Value::Int4(3), Value::Int8(limit)];
    assert_eq!(w.run(&txn, &query, &params(2)).unwrap().len(), 2);
    assert_eq!(query.finished_plans(), 1, "the plan came back to its pool");
    let mut writer = w.begin();
    w.insert(&mut writer, vec![row(100, Some(3), "new", Some([9.0; 4]))]);
    writer.commit().unwrap();
    let txn = w.begin();
    for limit in [1, 4] {
        let rows = w.run(&txn, &query, &params(limit)).unwrap();
        assert_eq!(rows.len(), limit as usize);
        assert_eq!(rows[0], ["100", "0"]);
        assert_eq!(query.finished_plans(), 1, "and was not made anew");
    }
}

#[test]
fn a_list_parameter_takes_its_type_from_what_it_is_compared_with() {
    let w = world();
    let sql = "SELECT id FROM t WHERE id = ANY($1) ORDER BY id";
    let item = match &w.plan(&w.begin(), sql).unwrap().param_types[..] {
        [Type::Array(item)] => item.as_ref().clone(),
        other => panic!("{other:?}"),
    };
    let list = |ids: &[i64]| {
        let cast = |&id: &i64| crate::types::cast::cast(Value::Int8(id), &item, true).unwrap();
        Value::Array(ids.iter().map(cast).collect())
    };
    assert_eq!(w.show(sql, &[list(&[1, 3])]), "1\n3");
    assert_eq!(w.show(sql, &[list(&[])]), "");
    assert_eq!(w.show("SELECT '{1,2}'::int[], id FROM t WHERE id = ANY ('{2}')", &[]), "{1,2}|2");
}

#[test]
fn joins_and_now_work_again_and_again() {
    let w = world();
    let txn = w.begin();
    let sql = "SELECT a.id FROM t a JOIN t b ON a.id = b.category WHERE b.id = $1 AND now() > '2020-01-01' ORDER BY a.id";
    let query = w.plan(&txn, sql).unwrap();
    for id in [3, 7, 11] {
        let rows = w.run(&txn, &query, &[Value::Int8(id)]).unwrap();
        assert_eq!(rows, [[(id % 5).to_string()]]);
    }
}

#[test]
fn an_execution_of_a_kept_plan_is_cheap() {
    let w = world();
    let txn = w.begin();
    let query = w.plan(&txn, "SELECT id FROM t ORDER BY v <-> $1 LIMIT 10").unwrap();
    let params = [Value::Vector(vec![0.5; 4])];
    w.run(&txn, &query, &params).unwrap();
    let made = PLANS_MADE.load(std::sync::atomic::Ordering::Relaxed);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut best = std::time::Duration::MAX;
    for _ in 0..200 {
        let execution = w.execution(&txn, &query, &params);
        let started = std::time::Instant::now();
        let rows = runtime.block_on(async {
            let mut stream = query.execute(execution, None).await.unwrap();
            let mut rows = 0;
            while let Some(batch) = stream.next().await {
                rows += batch.unwrap().num_rows();
            }
            rows
        });
        best = best.min(started.elapsed());
        assert_eq!(rows, 10);
    }
    println!("execution of a kept plan over 50 rows: {best:?}; plans made so far {made}");
    assert_eq!(query.finished_plans(), 1);
}
