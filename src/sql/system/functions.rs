//! Functions of the catalogue: what psql, drivers and ORMs call beside reading tables.
//!
//! Each is an ordinary function over [`Value`]s of one row, wrapped for DataFusion by [`each`]. They are called a few
//! times per question of a person, so a value per call is cheap enough.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::catalog::large_objects::PAGES;
use crate::catalog::{Oid, Relation};
use crate::database::cluster::undefined;
use crate::error::{Error, Result, SqlState};
use crate::functions::encodings::Encoding;
use crate::functions::scalar::no_such_function;
use crate::planner::bindings::Execution;
use crate::planner::bound::BoundFunction;
use crate::sql::databases::TEMPLATES;
use crate::sql::setting_list::SERVER_VERSION;
use crate::sql::system::cluster::DEFAULT_TABLESPACE_OID;
use crate::sql::system::definitions::{
    constraint_definition, domain_check_definition, index_column, index_definition, view_definition,
};
use crate::sql::system::names::{self, quote_ident};
use crate::sql::system::types::relation_of_row_type;
use crate::sql::system::{
    OWNER, OWNER_OID, PG_CATALOG, deparse, descriptions, input_checks, own_functions, partitions, relations,
    routines,
};
use crate::types::arrow::errors::from_datafusion;
use crate::types::arrow::{array, only_cell, type_of_data_type, value_at};
use crate::types::dimensions::{extent, shape};
use crate::types::{NetworkType, Type, Value, cast, text};

/// What a function does with the arguments of one row.
type Call = fn(&Execution, &[Value]) -> Result<Value>;

/// `"name" Type => function;`: a function of that name and result. `strict`: NULL for a NULL argument.
macro_rules! functions {
    ($($mode:ident $name:literal $returns:expr => $call:expr;)*) => {
        vec![$(BoundFunction::new($name, any, $returns, |execution, args| {
            check_arguments($name, stringify!($mode) == "strict", args)?;
            each(execution, args, &$returns, stringify!($mode) == "strict", $call)
        })),*]
    };
}

/// 42883 for a call with fewer arguments than the function cannot do without: one, if it is strict, or as many as here.
pub(super) fn check_arguments(name: &str, strict: bool, args: &ScalarFunctionArgs) -> Result<()> {
    let least = match name {
        "pg_describe_object" => 3,
        "acldefault" | "pg_get_expr" | "pg_get_serial_sequence" | "col_description" | "pg_notify" => 2,
        "pg_input_is_valid" | "hither_input_message" | "hither_input_detail" => 2,
        "hither_input_hint" | "hither_input_state" => 2,
        "hither_like_pattern" | "hither_subscripts" | "hither_array_prefix" => 2,
        "format_type" | "pg_typeof" => 1,
        _ => usize::from(strict),
    };
    if args.args.len() >= least {
        return Ok(());
    }
    let given: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
    Err(from_datafusion(no_such_function(name, &given)))
}

/// All of them.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let mut all = named();
    all.extend(descriptions());
    all.extend(of_partitions());
    all.extend(sizes());
    all.extend(always());
    all.extend(advisory_locks());
    all.extend(casts());
    all.extend(input_checks::functions());
    all
}

fn named() -> Vec<Arc<ScalarUDF>> {
    functions! {
        lenient "format_type" Type::Text => format_type;
        strict "acldefault" Type::Array(Box::new(Type::Text)) => |_, args| acl_default(&string(&args[0]), oid(&args[1])?);
        strict "hither_option_names" Type::Array(Box::new(Type::Text)) => |_, args| Ok(options(&args[0], true));
        strict "hither_option_values" Type::Array(Box::new(Type::Text)) => |_, args| Ok(options(&args[0], false));
        strict "hither_base_type" Type::Oid => |execution, args| {
            let oid = oid(&args[0])?;
            Ok(Value::from(execution.session.catalog().domain_by_oid(oid).map_or(oid, |domain| domain.base.oid())))
        };
        strict "hither_regproc_oid" Type::Oid => |execution, args| {
            Ok(Value::Oid(routine(execution, &args[0]).ok().unwrap_or_default()))
        };
        strict "pg_get_userbyid" Type::Name => |_, args| Ok(match oid(&args[0])? {
            OWNER_OID => Value::from(OWNER),
            other => Value::from(format!("unknown (OID={other})")),
        });
        strict "pg_table_is_visible" Type::Bool => |execution, args| Ok(Value::from(names::is_relation_visible(execution, oid(&args[0])?)));
        lenient "current_schemas" Type::Array(Box::new(Type::Name)) => |execution, args| {
            let implicit = matches!(args.first(), Some(Value::Bool(true)));
            let path = if implicit { names::search_path(execution) } else { names::named_path(execution) };
            Ok(Value::Array(path.into_iter().map(Value::from).collect()))
        };
        strict "to_regclass" Type::Text => |execution, args| {
            let found = names::find_relation(execution, &string(&args[0]));
            Ok(Value::from(found.map(|oid| names::regclass_out(execution, oid))))
        };
        strict "to_regtype" Type::Oid => |execution, args| Ok(Value::from(names::regtype_in(execution, &string(&args[0])).ok()));
        strict "to_regnamespace" Type::Oid => |execution, args| {
            Ok(Value::from(names::schema_oid(&execution.session.catalog(), &string(&args[0]))))
        };
        lenient "version" Type::Text => |_, _| {
            // Tools look for this beginning, and for a number behind it.
            Ok(Value::from(format!("PostgreSQL {SERVER_VERSION} on {}", std::env::consts::ARCH)))
        };
        strict "pg_encoding_to_char" Type::Name => |_, args| {
            Ok(Value::from(encoding(&args[0])?.map_or("", Encoding::name)))
        };
        strict "pg_encoding_max_length" Type::Int4 => |_, args| {
            Ok(encoding(&args[0])?.map_or(Value::Null, |of| Value::from(of.bytes_max())))
        };
        strict "pg_char_to_encoding" Type::Int4 => |_, args| {
            Ok(Value::from(Encoding::find(&string(&args[0])).map_or(-1, Encoding::number)))
        };
        lenient "pg_client_encoding" Type::Name => |execution, _| {
            Ok(Value::from(execution.session.setting("client_encoding").unwrap_or_default()))
        };
        lenient "getdatabaseencoding" Type::Name => |_, _| Ok(Value::from("UTF8"));
        lenient "pg_typeof" Type::Text => |_, args| Ok(Value::from(cast::type_of(&args[0]).to_string()));
    }
}

fn descriptions() -> Vec<Arc<ScalarUDF>> {
    functions! {
        strict "pg_get_indexdef" Type::Text => pg_get_indexdef;
        strict "pg_get_constraintdef" Type::Text => |execution, args| {
            let wanted = oid(&args[0])?;
            let catalog = execution.session.catalog();
            let found = partitions::constraint_by_oid(&catalog, wanted);
            let pretty = matches!(args.get(1), Some(Value::Bool(true)));
            let of_domain = catalog.domains().find_map(|domain| {
                Some((domain, domain.checks.iter().find(|check| check.oid == wanted)?))
            });
            if let Some((domain, check)) = of_domain {
                return Ok(Value::from(domain_check_definition(domain, check, pretty)));
            }
            Ok(Value::from(
                found.map(|(table, constraint)| constraint_definition(execution, &table, &constraint, pretty)),
            ))
        };
        strict "pg_get_expr" Type::Text => pg_get_expr;
        strict "pg_get_serial_sequence" Type::Text => pg_get_serial_sequence;
        strict "pg_get_function_result" Type::Text => |execution, args| {
            let oid = oid(&args[0])?;
            if let Some(function) = own_functions::by_oid(execution, oid) {
                return Ok(Value::from(own_functions::result(&function, &execution.session.catalog())));
            }
            if let Some((_, result)) = routines::of_large_objects(oid) {
                return Ok(Value::from(result));
            }
            Ok(Value::from(routines::by_oid(oid).map(|(_, _, result)| result)))
        };
        strict "pg_get_function_arguments" Type::Text => |execution, args| {
            function_arguments(execution, &args[0], true)
        };
        strict "pg_get_function_identity_arguments" Type::Text => |execution, args| {
            function_arguments(execution, &args[0], false)
        };
        strict "pg_get_function_sqlbody" Type::Text => |execution, args| {
            let function = own_functions::by_oid(execution, oid(&args[0])?);
            let function = function.filter(|f| !matches!(f.body, crate::catalog::Body::Text(_)));
            Ok(Value::from(function.map(|function| own_functions::body(&function))))
        };
        strict "pg_get_functiondef" Type::Text => |execution, args| {
            let function = own_functions::by_oid(execution, oid(&args[0])?);
            let catalog = execution.session.catalog();
            Ok(Value::from(function.map(|function| own_functions::definition(&function, &catalog))))
        };
        strict "obj_description" Type::Text => obj_description;
        strict "col_description" Type::Text => col_description;
        strict "shobj_description" Type::Text => |_, _| Ok(Value::Null);
        // Of things that do not exist here.
        strict "pg_get_viewdef" Type::Text => |execution, args| {
            let view = relation(execution, &args[0])?;
            Ok(Value::from(view_definition(view, execution)))
        };
        strict "pg_get_ruledef" Type::Text => |_, _| Ok(Value::Null);
        strict "pg_get_triggerdef" Type::Text => |_, _| Ok(Value::Null);
        strict "pg_get_partkeydef" Type::Text => |execution, args| {
            let catalog = execution.session.catalog();
            Ok(Value::from(catalog.table_by_oid(oid(&args[0])?).and_then(|table| partitions::key(table))))
        };
        strict "pg_get_partition_constraintdef" Type::Text => |execution, args| {
            let catalog = execution.session.catalog();
            Ok(Value::from(catalog.rows_by_oid(oid(&args[0])?).and_then(|table| partitions::constraint(table))))
        };
        strict "pg_get_statisticsobjdef" Type::Text => |_, _| Ok(Value::Null);
        strict "pg_get_statisticsobjdef_columns" Type::Text => |_, _| Ok(Value::Null);
        strict "pg_tablespace_location" Type::Text => |_, _| Ok(Value::from(""));
        strict "oidvectortypes" Type::Text => |execution, args| {
            let Value::Array(types) = &args[0] else { return Ok(Value::Null) };
            let names = types.iter().map(|ty| Ok(string(&format_type(execution, std::slice::from_ref(ty))?)));
            Ok(Value::from(names.collect::<Result<Vec<String>>>()?.join(", ")))
        };
        strict "pg_describe_object" Type::Text => describe_object;
        // Scans of indexes are not counted.
        strict "pg_stat_get_numscans" Type::Int8 => |_, _| Ok(Value::Null);
    }
}

/// pg_partition_root(), and what pg_partition_ancestors() and pg_partition_tree() return as arrays.
fn of_partitions() -> Vec<Arc<ScalarUDF>> {
    functions! {
        strict "pg_partition_root" Type::Oid => |execution, args| {
            let oid = relation(execution, &args[0])?;
            let tree = partitions::tree(&execution.session.catalog(), oid);
            Ok(Value::from(tree.map(|tree| tree.parent.unwrap_or(oid))))
        };
        strict "hither_partition_ancestors" Type::Array(Box::new(Type::Oid)) => |execution, args| {
            let oid = relation(execution, &args[0])?;
            let tree = partitions::tree(&execution.session.catalog(), oid);
            let path = tree.into_iter().flat_map(|tree| std::iter::once(oid).chain(tree.parent));
            Ok(Value::Array(path.map(Value::Oid).collect()))
        };
        strict "hither_partition_tree_relid" Type::Array(Box::new(Type::Oid)) => |execution, args| {
            let branches = branches(execution, &args[0])?;
            Ok(Value::Array(branches.into_iter().map(|branch| Value::Oid(branch.oid)).collect()))
        };
        strict "hither_partition_tree_parent" Type::Array(Box::new(Type::Oid)) => |execution, args| {
            let branches = branches(execution, &args[0])?;
            Ok(Value::Array(branches.into_iter().map(|branch| Value::from(branch.parent)).collect()))
        };
        strict "hither_partition_tree_isleaf" Type::Array(Box::new(Type::Bool)) => |execution, args| {
            let branches = branches(execution, &args[0])?;
            Ok(Value::Array(branches.into_iter().map(|branch| Value::Bool(branch.parent.is_some())).collect()))
        };
        strict "hither_partition_tree_level" Type::Array(Box::new(Type::Int4)) => |execution, args| {
            let branches = branches(execution, &args[0])?;
            // The first is the one that was asked for.
            let levels = (0..branches.len()).map(|place| Value::Int4(i32::from(place > 0)));
            Ok(Value::Array(levels.collect()))
        };
    }
}

/// A relation and the partitions below it.
fn branches(execution: &Execution, given: &Value) -> Result<Vec<partitions::Branch>> {
    let oid = relation(execution, given)?;
    Ok(partitions::branches(&execution.session.catalog(), oid))
}

/// The oid of a database that is given by it or by its name; 3D000 when there is none of the name.
fn database(execution: &Execution, given: &Value) -> Result<u32> {
    let Value::Text(name) = given else { return oid(given) };
    let databases = execution.session.databases();
    let templates = TEMPLATES.iter().map(|(oid, name)| (*oid, *name));
    let mut known = databases.iter().map(|(oid, name)| (*oid, name.as_str())).chain(templates);
    known.find_map(|(oid, known)| (known == &**name).then_some(oid)).ok_or_else(|| undefined(name))
}

fn sizes() -> Vec<Arc<ScalarUDF>> {
    functions! {
        strict "pg_size_pretty" Type::Text => |_, args| Ok(Value::from(size_pretty(number(&args[0])?)));
        strict "pg_relation_size" Type::Int8 => relation_size;
        strict "pg_table_size" Type::Int8 => relation_size;
        strict "pg_indexes_size" Type::Int8 => |execution, args| {
            let table = relation(execution, &args[0])?;
            Ok(Value::from(indexes_size(execution, table)))
        };
        strict "pg_total_relation_size" Type::Int8 => |execution, args| {
            let table = relation(execution, &args[0])?;
            let own = execution.session.relation_bytes(table);
            Ok(Value::from(own.map(|own| own as i64 + indexes_size(execution, table).unwrap_or(0))))
        };
        strict "pg_database_size" Type::Int8 => |execution, args| {
            let oid = database(execution, &args[0])?;
            if TEMPLATES.iter().any(|(template, _)| *template == oid) {
                return Ok(Value::Int8(0));
            }
            Ok(Value::from(execution.session.database_bytes(oid).map(|bytes| bytes as i64)))
        };
        // All but the cluster's own relations is in pg_default.
        strict "pg_tablespace_size" Type::Int8 => |execution, args| Ok(match oid(&args[0])? {
            DEFAULT_TABLESPACE_OID => {
                let session = &execution.session;
                let sizes = session.databases().into_iter().filter_map(|(oid, _)| session.database_bytes(oid));
                Value::Int8(sizes.sum::<u64>() as i64)
            }
            _ => Value::Int8(0),
        });
        strict "pg_relation_filenode" Type::Oid => |execution, args| {
            let relation = relation(execution, &args[0])?;
            Ok(Value::from(execution.session.catalog().relation_by_oid(relation).map(|_| relation)))
        };
    }
}

/// Answers that never change: there is one role, which may do everything, and one database, which is no replica.
fn always() -> Vec<Arc<ScalarUDF>> {
    functions! {
        strict "pg_type_is_visible" Type::Bool => |execution, args| {
            let (catalog, oid) = (execution.session.catalog(), oid(&args[0])?);
            if let Some(domain) = catalog.domain_by_oid(oid) {
                return Ok(Value::from(execution.session.search_path().contains(&domain.schema)));
            }
            if let Some(relation) = relation_of_row_type(oid) {
                return Ok(Value::from(names::is_relation_visible(execution, relation)));
            }
            let found = catalog.type_by_oid(oid);
            let item = found.map(|ty| if let Type::Array(item) = ty { *item } else { ty });
            Ok(Value::from(match item {
                Some(Type::Enum(of)) => execution.session.search_path().contains(&of.schema),
                Some(Type::Vector(_) | Type::Halfvec(_) | Type::Sparsevec(_)) => {
                    names::extension_prefix(execution).is_empty()
                }
                other => other.is_some() || names::pseudo_type(oid).is_some(),
            }))
        };
        strict "pg_function_is_visible" Type::Bool => yes;
        strict "pg_operator_is_visible" Type::Bool => yes;
        strict "pg_opclass_is_visible" Type::Bool => yes;
        strict "pg_opfamily_is_visible" Type::Bool => yes;
        strict "pg_collation_is_visible" Type::Bool => yes;
        strict "pg_conversion_is_visible" Type::Bool => yes;
        strict "pg_statistics_obj_is_visible" Type::Bool => yes;
        strict "pg_ts_config_is_visible" Type::Bool => yes;
        strict "pg_ts_dict_is_visible" Type::Bool => yes;
        strict "pg_ts_parser_is_visible" Type::Bool => yes;
        strict "pg_ts_template_is_visible" Type::Bool => yes;
        strict "pg_relation_is_publishable" Type::Bool => yes;
        strict "has_any_column_privilege" Type::Bool => yes;
        strict "has_column_privilege" Type::Bool => yes;
        strict "has_database_privilege" Type::Bool => yes;
        strict "has_function_privilege" Type::Bool => yes;
        strict "has_language_privilege" Type::Bool => yes;
        strict "has_schema_privilege" Type::Bool => yes;
        strict "has_sequence_privilege" Type::Bool => yes;
        strict "has_table_privilege" Type::Bool => yes;
        strict "has_tablespace_privilege" Type::Bool => yes;
        strict "has_type_privilege" Type::Bool => yes;
        strict "pg_has_role" Type::Bool => yes;
        lenient "pg_is_in_recovery" Type::Bool => |_, _| Ok(Value::from(false));
        lenient "pg_is_wal_replay_paused" Type::Bool => |_, _| {
            let error = Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "recovery is not in progress");
            Err(error.hint("Recovery control functions can only be executed during recovery."))
        };
        lenient "pg_is_other_temp_schema" Type::Bool => |_, _| Ok(Value::from(false));
        lenient "pg_my_temp_schema" Type::Oid => |_, _| Ok(Value::from(0u32));
        lenient "inet_server_addr" Type::Network(NetworkType::Inet) => |_, _| Ok(Value::Null);
        lenient "inet_server_port" Type::Int4 => |_, _| Ok(Value::Null);
    }
}

/// Locks on numbers.
fn advisory_locks() -> Vec<Arc<ScalarUDF>> {
    use crate::locks::{Mode, Span};
    functions! {
        strict "pg_advisory_lock" Type::Void => |e, a| lock(e, a, Mode::Exclusive, Span::Session, true);
        strict "pg_advisory_lock_shared" Type::Void => |e, a| lock(e, a, Mode::Shared, Span::Session, true);
        strict "pg_advisory_xact_lock" Type::Void => |e, a| lock(e, a, Mode::Exclusive, Span::Transaction, true);
        strict "pg_advisory_xact_lock_shared" Type::Void => |e, a| lock(e, a, Mode::Shared, Span::Transaction, true);
        strict "pg_try_advisory_lock" Type::Bool => |e, a| lock(e, a, Mode::Exclusive, Span::Session, false);
        strict "pg_try_advisory_lock_shared" Type::Bool => |e, a| lock(e, a, Mode::Shared, Span::Session, false);
        strict "pg_try_advisory_xact_lock" Type::Bool => |e, a| lock(e, a, Mode::Exclusive, Span::Transaction, false);
        strict "pg_try_advisory_xact_lock_shared" Type::Bool => |e, a| {
            lock(e, a, Mode::Shared, Span::Transaction, false)
        };
        strict "pg_advisory_unlock" Type::Bool => |execution, args| {
            Ok(Value::from(execution.session.advisory_unlock(advisory_key(args)?, Mode::Exclusive)))
        };
        strict "pg_advisory_unlock_shared" Type::Bool => |execution, args| {
            Ok(Value::from(execution.session.advisory_unlock(advisory_key(args)?, Mode::Shared)))
        };
        strict "pg_cancel_backend" Type::Bool => |execution, args| {
            Ok(Value::from(execution.session.signal(process_id(&args[0])?, false)))
        };
        strict "pg_terminate_backend" Type::Bool => |execution, args| {
            Ok(Value::from(execution.session.signal(process_id(&args[0])?, true)))
        };
        strict "pg_blocking_pids" Type::Array(Box::new(Type::Int4)) => |execution, args| {
            Ok(Value::Array(execution.session.blocking_pids(process_id(&args[0])?)))
        };
        lenient "current_query" Type::Text => |execution, _| Ok(Value::from(execution.session.query()));
        lenient "pg_postmaster_start_time" Type::Timestamptz(None) => started;
        // The configuration is read once.
        lenient "pg_conf_load_time" Type::Timestamptz(None) => started;
        lenient "pg_listening_channels" Type::Array(Box::new(Type::Text)) => |execution, _| {
            Ok(Value::Array(execution.session.channels().into_iter().map(Value::from).collect()))
        };
        lenient "pg_notify" Type::Void => |execution, args| {
            let text = |value: Option<&Value>| value.filter(|v| **v != Value::Null).map(string).unwrap_or_default();
            execution.session.notify(&text(args.first()), &text(args.get(1)))?;
            Ok(Value::from(""))
        };
        lenient "txid_current" Type::Int8 => |execution, _| transaction_number(execution, true);
        lenient "txid_current_if_assigned" Type::Int8 => |execution, _| transaction_number(execution, false);
        lenient "pg_advisory_unlock_all" Type::Void => |execution, _| {
            execution.session.advisory_unlock_all();
            Ok(Value::from(""))
        };
    }
}

fn transaction_number(execution: &Execution, assign: bool) -> Result<Value> {
    let number = execution.session.transaction_number(assign)?;
    Ok(number.map(|number| number as i64).into())
}

fn started(execution: &Execution, _args: &[Value]) -> Result<Value> {
    Ok(execution.session.server_started().map_or(Value::Null, Value::Timestamptz))
}

/// Numbers that no session has are not an error.
fn process_id(value: &Value) -> Result<i32> {
    Ok(i32::try_from(number(value)?).unwrap_or(0))
}

fn lock(
    execution: &Execution,
    args: &[Value],
    mode: crate::locks::Mode,
    span: crate::locks::Span,
    wait: bool,
) -> Result<Value> {
    let check = || execution.check_cancel();
    let done = execution.session.advisory_lock(advisory_key(args)?, mode, span, wait, &check)?;
    Ok(if wait { Value::from("") } else { Value::from(done) })
}

fn advisory_key(args: &[Value]) -> Result<crate::locks::AdvisoryKey> {
    use crate::locks::AdvisoryKey;
    let half = |value: &Value| {
        i32::try_from(number(value)?)
            .map_err(|_| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range"))
    };
    match args {
        [key] => Ok(AdvisoryKey::One(number(key)?)),
        [first, second] => Ok(AdvisoryKey::Two(half(first)?, half(second)?)),
        _ => Err(Error::new(SqlState::UNDEFINED_FUNCTION, "an advisory lock is on one number or two")),
    }
}

/// What `rewrite.rs` makes of casts to regclass and its like, and of array subqueries.
fn casts() -> Vec<Arc<ScalarUDF>> {
    functions! {
        strict "hither_regclass_in" Type::Oid => |execution, args| relation(execution, &args[0]).map(Value::from);
        strict "hither_regclass_out" Type::Text => |execution, args| {
            let relation = relation(execution, &args[0])?;
            Ok(Value::from(names::regclass_out(execution, relation)))
        };
        strict "hither_regtype_in" Type::Oid => |execution, args| type_oid(execution, &args[0]).map(Value::from);
        strict "hither_regtype_out" Type::Text => |execution, args| {
            type_oid(execution, &args[0]).map(|oid| Value::from(names::regtype_out(execution, oid)))
        };
        strict "hither_regnamespace_in" Type::Oid => |execution, args| namespace(execution, &args[0]).map(Value::from);
        strict "hither_regnamespace_out" Type::Text => |execution, args| {
            let oid = namespace(execution, &args[0])?;
            let name = names::schema_name(&execution.session.catalog(), oid);
            Ok(Value::from(name.map_or_else(|| oid.to_string(), |name| quote_ident(&name))))
        };
        strict "hither_regrole_in" Type::Oid => |_, args| role(&args[0]).map(Value::from);
        strict "hither_regrole_out" Type::Text => |_, args| Ok(Value::from(match role(&args[0])? {
            OWNER_OID => OWNER.to_owned(),
            other => other.to_string(),
        }));
        strict "hither_regproc_in" Type::Oid => |execution, args| routine(execution, &args[0]).map(Value::from);
        strict "hither_regproc_out" Type::Text => |execution, args| Ok(Value::from(match &args[0] {
            // Columns of type regproc are text here.
            Value::Text(name) => name.clone(),
            value => {
                let oid = oid(value)?;
                match own_functions::by_oid(execution, oid) {
                    Some(function) => quote_ident(&function.name),
                    None if oid == 0 => "-".to_owned(),
                    None => routines::name_of(oid).unwrap_or_else(|| oid.to_string()),
                }
            }
        }));
        lenient "hither_array_prefix" Type::Array(Box::new(Type::Text)) => |_, args| Ok(match &args[1] {
            Value::Array(items) => {
                let prefix = string(&args[0]);
                Value::Array(items.iter().map(|item| Value::from(format!("{prefix}{}", string(item)))).collect())
            }
            _ => Value::Array(Vec::new()),
        });
        strict "hither_int2vector_out" Type::Int2Vector => |_, args| Ok(vector_text(&args[0]));
        strict "hither_oidvector_out" Type::OidVector => |_, args| Ok(vector_text(&args[0]));
        strict "hither_like_pattern" Type::Text => |_, args| {
            Ok(Value::from(with_backslashes(&string(&args[0]), &string(&args[1]))?))
        };
        strict "hither_subscripts" Type::Array(Box::new(Type::Int4)) => |_, args| Ok(match &args[0] {
            // The array, its first subscript, and where they are given the dimension and whether to go backwards.
            Value::Array(items) => {
                let first = number(&args[1])? as i32;
                let dimension = args.get(2).map_or(Ok(1), number)?;
                let length = extent(&shape(items), dimension).unwrap_or(0);
                let mut subscripts: Vec<Value> = (first..first + length as i32).map(Value::Int4).collect();
                if args.get(3) == Some(&Value::Bool(true)) {
                    subscripts.reverse();
                }
                Value::Array(subscripts)
            }
            _ => Value::Array(Vec::new()),
        });
    }
}

/// A pattern of LIKE whose escapes are of another character, or of none, with backslashes.
fn with_backslashes(pattern: &str, escape: &str) -> Result<String> {
    let mut given = escape.chars();
    let escape = given.next();
    if given.next().is_some() {
        return Err(Error::new(SqlState("22025"), "invalid escape string")
            .hint("Escape string must be empty or one character."));
    }
    let mut rewritten = String::with_capacity(pattern.len() + 2);
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            let Some(escaped) = characters.next() else {
                return Err(Error::new(SqlState("22025"), "LIKE pattern must not end with escape character"));
            };
            rewritten.extend(['\\', escaped]);
        } else if character == '\\' {
            rewritten.push_str("\\\\");
        } else {
            rewritten.push(character);
        }
    }
    Ok(rewritten)
}

/// Any arguments, of types a [`Value`] can be read from.
pub(super) fn any(_name: &str, given: &[DataType]) -> datafusion::common::Result<Vec<DataType>> {
    let readable = |ty: &DataType| match ty {
        DataType::Null | DataType::Utf8View => DataType::Utf8,
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt64 => DataType::Int64,
        DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    };
    Ok(given.iter().map(readable).collect())
}

/// Calls `call` for each row; only once when all arguments are constants.
pub(super) fn each(
    execution: &Execution,
    args: &ScalarFunctionArgs,
    returns: &Type,
    strict: bool,
    call: Call,
) -> Result<ColumnarValue> {
    let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    let rows = if constant { 1 } else { args.number_rows };
    let columns =
        args.args.iter().map(|arg| arg.to_array(rows)).collect::<datafusion::common::Result<Vec<ArrayRef>>>();
    let columns = columns.map_err(from_datafusion)?;
    let types: Vec<Type> = columns.iter().map(|column| type_of_data_type(column.data_type())).collect();
    let mut results = Vec::with_capacity(rows);
    for row in 0..rows {
        let values = columns.iter().zip(&types).map(|(column, ty)| value_at(column, row, ty));
        let values = values.collect::<Result<Vec<Value>>>()?;
        let null = strict && values.contains(&Value::Null);
        results.push(if null { Value::Null } else { call(execution, &values)? });
    }
    let results = array(returns, results.iter())?;
    Ok(match constant {
        true => ColumnarValue::Scalar(only_cell(&results)?),
        false => ColumnarValue::Array(results),
    })
}

fn yes(_execution: &Execution, _args: &[Value]) -> Result<Value> {
    Ok(Value::Bool(true))
}

/// What an object's owner and everybody may do unless they were granted something else.
fn acl_default(kind: &str, owner: u32) -> Result<Value> {
    let (public, own) = match kind {
        "c" => ("", ""),
        "r" => ("", "arwdDxtm"),
        "s" => ("", "rwU"),
        "d" => ("Tc", "CTc"),
        "f" => ("X", "X"),
        "l" | "T" => ("U", "U"),
        "L" => ("", "rw"),
        "n" => ("", "UC"),
        "t" => ("", "C"),
        "F" | "S" => ("", "U"),
        "p" => ("", "sA"),
        other => return Err(Error::internal(format!("unrecognized object type abbreviation: {other}"))),
    };
    let name = if owner == OWNER_OID { OWNER.to_owned() } else { owner.to_string() };
    let mut items = Vec::new();
    if !public.is_empty() {
        items.push(Value::Text(format!("={public}/{name}")));
    }
    if !own.is_empty() {
        items.push(Value::Text(format!("{name}={own}/{name}")));
    }
    Ok(Value::Array(items))
}

/// The names or the values of `name=value` items: pg_options_to_table.
fn options(list: &Value, names: bool) -> Value {
    let Value::Array(items) = list else { return Value::Array(Vec::new()) };
    let part = |item: &Value| {
        let text = string(item);
        match (text.split_once('='), names) {
            (Some((name, _)), true) => Value::from(name),
            (Some((_, value)), false) => Value::from(value),
            (None, true) => Value::from(text),
            (None, false) => Value::Null,
        }
    };
    Value::Array(items.iter().map(part).collect())
}

/// The items of an array between blanks.
fn vector_text(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::from(items.iter().map(string).collect::<Vec<String>>().join(" ")),
        other => Value::from(string(other)),
    }
}

fn string(value: &Value) -> String {
    text::to_string(value)
}

fn number(value: &Value) -> Result<i64> {
    match crate::types::cast::cast(value.clone(), &Type::Int8, true)? {
        Value::Int8(number) => Ok(number),
        other => Err(Error::internal(format!("expected a number, found {other:?}"))),
    }
}

/// An encoding by PostgreSQL's number of it.
fn encoding(value: &Value) -> Result<Option<Encoding>> {
    Ok(i32::try_from(number(value)?).ok().and_then(Encoding::of_number))
}

/// An argument that is an oid; PostgreSQL reads negative numbers as their two's complement.
fn oid(value: &Value) -> Result<Oid> {
    Ok(number(value)? as Oid)
}

/// An argument that stands for a relation: an oid, or a name.
fn relation(execution: &Execution, value: &Value) -> Result<Oid> {
    match value {
        Value::Text(name) => names::regclass_in(execution, name),
        other => oid(other),
    }
}

fn type_oid(execution: &Execution, value: &Value) -> Result<Oid> {
    match value {
        Value::Text(name) => names::regtype_in(execution, name),
        other => oid(other),
    }
}

fn namespace(execution: &Execution, value: &Value) -> Result<Oid> {
    let Value::Text(name) = value else { return oid(value) };
    if let Ok(oid) = name.parse() {
        return Ok(oid);
    }
    let folded = names::split_name(name).and_then(|mut parts| parts.pop()).unwrap_or_else(|| name.clone());
    names::schema_oid(&execution.session.catalog(), &folded).ok_or_else(|| {
        Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{folded}\" does not exist"))
    })
}

fn function_arguments(execution: &Execution, function: &Value, defaults: bool) -> Result<Value> {
    let oid = oid(function)?;
    if let Some(function) = own_functions::by_oid(execution, oid) {
        return Ok(Value::from(own_functions::arguments(&function, defaults)));
    }
    if let Some((arguments, _)) = routines::of_large_objects(oid) {
        return Ok(Value::from(arguments));
    }
    Ok(Value::from(routines::by_oid(oid).map(|(_, arguments, _)| arguments)))
}

fn routine(execution: &Execution, value: &Value) -> Result<Oid> {
    let Value::Text(name) = value else { return oid(value) };
    if let Some(own) = own_functions::by_name(execution, name) {
        return Ok(own);
    }
    let bare = names::split_name(name).and_then(|mut parts| parts.pop()).unwrap_or_else(|| name.clone());
    name.parse().ok().or_else(|| routines::by_name(&bare)).ok_or_else(|| {
        Error::new(SqlState::UNDEFINED_FUNCTION, format!("function \"{name}\" does not exist"))
    })
}

fn role(value: &Value) -> Result<Oid> {
    match value {
        Value::Text(name) if name == OWNER => Ok(OWNER_OID),
        Value::Text(name) => name
            .parse()
            .map_err(|_| Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))),
        other => oid(other),
    }
}

fn format_type(execution: &Execution, args: &[Value]) -> Result<Value> {
    if args[0] == Value::Null {
        return Ok(Value::Null);
    }
    let oid = oid(&args[0])?;
    let typmod = match args.get(1) {
        None | Some(Value::Null) => None,
        Some(value) => Some(number(value)? as i32),
    };
    let catalog = execution.session.catalog();
    if catalog.domain_by_oid(oid).is_some() {
        return Ok(Value::from(names::regtype_out(execution, oid)));
    }
    Ok(Value::from(match catalog.type_by_oid(oid) {
        Some(ty) => names::type_out(execution, &ty, typmod),
        None if oid == 0 => "-".to_owned(),
        None => match (names::pseudo_type(oid), relation_of_row_type(oid)) {
            (Some(name), _) => name.to_owned(),
            (None, Some(relation)) => names::regclass_out(execution, relation),
            (None, None) => "???".to_owned(),
        },
    }))
}

/// pg_get_expr(text, relation [, pretty]). The catalogue keeps expressions as their text; defaults are shown where
/// pg_attrdef is read, generated columns and WHERE of indexes here.
fn pg_get_expr(execution: &Execution, args: &[Value]) -> Result<Value> {
    let sql = string(&args[0]);
    let catalog = execution.session.catalog();
    let Some(table) = catalog.table_by_oid(oid(&args[1])?) else { return Ok(Value::from(sql)) };
    let pretty = matches!(args.get(2), Some(Value::Bool(true)));
    let generated = table.columns.iter().filter_map(|column| column.generated.as_ref());
    let generated = generated.map(|generated| generated.sql.as_str());
    let predicates = catalog.indexes_of(table.oid).filter_map(|index| index.predicate.as_ref());
    let mut kept = generated.chain(predicates.map(|predicate| predicate.sql.as_str()));
    match kept.any(|known| known == sql) {
        true => Ok(Value::from(deparse::expression(&sql, table, pretty))),
        false => Ok(Value::from(sql)),
    }
}

/// pg_get_indexdef(index [, column, pretty]); column 0 is the whole definition.
fn pg_get_indexdef(execution: &Execution, args: &[Value]) -> Result<Value> {
    let catalog = execution.session.catalog();
    let Some(index) = catalog.index_or_part_by_oid(oid(&args[0])?) else { return Ok(Value::Null) };
    let Some(table) = catalog.rows_by_oid(index.table) else { return Ok(Value::Null) };
    let column = args.get(1).map_or(Ok(0), number)?;
    let pretty = matches!(args.get(2), Some(Value::Bool(true)));
    Ok(Value::from(match usize::try_from(column - 1) {
        Ok(place) => index_column(table, index, place, None, pretty),
        Err(_) => {
            let bare = pretty && names::is_visible(execution, &table.schema, &table.name);
            index_definition(&catalog, index, bare, names::extension_prefix(execution))
        }
    }))
}

/// The sequence of a serial or identity column, qualified.
fn pg_get_serial_sequence(execution: &Execution, args: &[Value]) -> Result<Value> {
    let table = relation(execution, &args[0])?;
    let column = string(&args[1]);
    let catalog = execution.session.catalog();
    let Some(table) = catalog.table_by_oid(table) else { return Ok(Value::Null) };
    let Some(found) = table.column(&column) else {
        let message = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
        return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
    };
    let owned = |owner: Option<(Oid, u16)>| owner == Some((table.oid, found.number));
    let sequence = catalog.sequences().find(|s| Some(s.oid) == found.sequence || owned(s.owned_by));
    Ok(Value::from(sequence.map(|sequence| names::qualified(&sequence.schema, &sequence.name))))
}

/// pg_describe_object(catalogue, oid, column): relations in words; nothing else has any.
fn describe_object(execution: &Execution, args: &[Value]) -> Result<Value> {
    let (class, object, part) = (oid(&args[0])?, oid(&args[1])?, number(&args[2])?);
    let catalog = execution.session.catalog();
    if class != relations::PG_CLASS_OID {
        return Ok(Value::Null);
    }
    let kind = match catalog.relation_by_oid(object) {
        Some(Relation::Table(table)) if table.materialized.is_some() => "materialized view",
        Some(Relation::Table(_) | Relation::Partition(_)) => "table",
        Some(Relation::Index(_) | Relation::PartitionIndex(_)) => "index",
        Some(Relation::Sequence(_)) => "sequence",
        Some(Relation::View(_)) => "view",
        None => return Ok(Value::Null),
    };
    let name = names::regclass_out(execution, object);
    let column = catalog
        .table_by_oid(object)
        .and_then(|table| table.column_number(u16::try_from(part).ok()?).cloned());
    Ok(Value::from(match column {
        Some(column) => format!("column {} of {kind} {name}", quote_ident(&column.name)),
        None => format!("{kind} {name}"),
    }))
}

/// obj_description(oid [, catalogue]).
fn obj_description(execution: &Execution, args: &[Value]) -> Result<Value> {
    let Ok(wanted) = oid(&args[0]) else { return Ok(Value::Null) };
    let catalog = execution.session.catalog();
    let class = match args.get(1) {
        None => None,
        Some(name) => match names::relation_oid(&catalog, PG_CATALOG, &string(name)) {
            Some(class) => Some(class),
            None => return Ok(Value::Null),
        },
    };
    if class == Some(routines::PG_PROC_OID) {
        let function = own_functions::by_oid(execution, wanted);
        return Ok(Value::from(function.and_then(|function| function.comment.clone())));
    }
    if class == Some(PAGES) {
        return descriptions::of_large_object(execution, wanted).map(Value::from);
    }
    Ok(Value::from(descriptions::find(&catalog, wanted, class, 0)))
}

/// col_description(table, column).
fn col_description(execution: &Execution, args: &[Value]) -> Result<Value> {
    let table = relation(execution, &args[0])?;
    let Ok(column) = u16::try_from(number(&args[1])?) else { return Ok(Value::Null) };
    let found =
        descriptions::find(&execution.session.catalog(), table, Some(relations::PG_CLASS_OID), column);
    Ok(Value::from(found))
}

fn relation_size(execution: &Execution, args: &[Value]) -> Result<Value> {
    let relation = relation(execution, &args[0])?;
    Ok(Value::from(execution.session.relation_bytes(relation).map(|bytes| bytes as i64)))
}

fn indexes_size(execution: &Execution, table: Oid) -> Option<i64> {
    let catalog = execution.session.catalog();
    let sizes = catalog.indexes_of(table).map(|index| execution.session.relation_bytes(index.oid));
    sizes.map(|bytes| bytes.map(|bytes| bytes as i64)).sum()
}

/// `8192 bytes`, `97 MB`: below ten units of the next size, the smaller unit, rounded.
fn size_pretty(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    const STAY_BELOW: u64 = 10 * 1024;
    let sign = if bytes < 0 { "-" } else { "" };
    let magnitude = bytes.unsigned_abs();
    if magnitude < STAY_BELOW {
        return format!("{sign}{magnitude} bytes");
    }
    // Twice the size, so that halves are seen when rounding.
    let mut twice = magnitude >> 9;
    for (place, unit) in UNITS.iter().enumerate() {
        if twice < 2 * STAY_BELOW - 1 || place == UNITS.len() - 1 {
            return format!("{sign}{} {unit}", twice.div_ceil(2));
        }
        twice >>= 10;
    }
    unreachable!("the last unit takes every size")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_backslashes() {
        for (pattern, escape, rewritten) in [
            ("a/%b", "/", "a\\%b"),
            ("a//b%", "/", "a\\/b%"),
            ("a\\b", "/", "a\\\\b"),
            ("a\\b_", "", "a\\\\b_"),
        ] {
            assert_eq!(with_backslashes(pattern, escape).unwrap(), rewritten);
        }
        assert!(with_backslashes("a/", "/").is_err());
        assert!(with_backslashes("a", "ab").is_err());
    }

    #[test]
    fn sizes_read_as_in_postgres() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (7_740_000, "7559 kB"),
            (97 << 20, "97 MB"),
            (-20_480, "-20 kB"),
            (i64::MAX, "8192 PB"),
        ] {
            assert_eq!(size_pretty(bytes), text);
        }
    }
}
