//! Relations about things that do not exist here: triggers, rules, policies, publications, inheritance of roles, statistics
//! of columns.
//!
//! Clients join them to look for such things and take no rows for an answer. Columns are PostgreSQL's.

use crate::sql::system::PG_CATALOG;
use crate::sql::system::relation::{Relation, none};

macro_rules! empty {
    ($($oid:literal $kind:literal $name:literal: $columns:literal;)*) => {
        /// Every one of them.
        pub const RELATIONS: &[Relation] = &[$(
            Relation { oid: $oid, schema: PG_CATALOG, name: $name, kind: $kind, columns: $columns, rows: none },
        )*];
    };
}

/// Whether a relation of pg_catalog never has rows, so that joining it yields none.
pub fn is_empty(name: &str) -> bool {
    RELATIONS.iter().any(|relation| relation.name == name)
}

empty! {
    1261 'r' "pg_auth_members":
        "oid oid, roleid oid, member oid, grantor oid, admin_option bool, inherit_option bool, set_option bool";
    2607 'r' "pg_conversion":
        "oid oid, conname name, connamespace oid, conowner oid, conforencoding int4, contoencoding int4, \
        conproc text, condefault bool";
    2964 'r' "pg_db_role_setting":
        "setdatabase oid, setrole oid, setconfig text[]";
    826 'r' "pg_default_acl":
        "oid oid, defaclrole oid, defaclnamespace oid, defaclobjtype char, defaclacl text[]";
    3466 'r' "pg_event_trigger":
        "oid oid, evtname name, evtevent name, evtowner oid, evtfoid oid, evtenabled char, evttags text[]";
    2328 'r' "pg_foreign_data_wrapper":
        "oid oid, fdwname name, fdwowner oid, fdwhandler oid, fdwvalidator oid, fdwacl text[], fdwoptions \
        text[]";
    1417 'r' "pg_foreign_server":
        "oid oid, srvname name, srvowner oid, srvfdw oid, srvtype text, srvversion text, srvacl text[], \
        srvoptions text[]";
    3118 'r' "pg_foreign_table":
        "ftrelid oid, ftserver oid, ftoptions text[]";
    12010 'v' "pg_group":
        "groname name, grosysid oid, grolist oid[]";
    3394 'r' "pg_init_privs":
        "objoid oid, classoid oid, objsubid int4, privtype char, initprivs text[]";
    2602 'r' "pg_amop":
        "oid oid, amopfamily oid, amoplefttype oid, amoprighttype oid, amopstrategy int2, amoppurpose char, \
        amopopr oid, amopmethod oid, amopsortfamily oid";
    2603 'r' "pg_amproc":
        "oid oid, amprocfamily oid, amproclefttype oid, amprocrighttype oid, amprocnum int2, amproc text";
    6243 'r' "pg_parameter_acl":
        "oid oid, parname text, paracl text[]";
    12018 'v' "pg_policies":
        "schemaname name, tablename name, policyname name, permissive text, roles name[], cmd text, qual \
        text, with_check text";
    3256 'r' "pg_policy":
        "oid oid, polname name, polrelid oid, polcmd char, polpermissive bool, polroles oid[], polqual text, \
        polwithcheck text";
    12090 'v' "pg_prepared_xacts":
        "transaction int8, gid text, prepared timestamptz, owner name, database name";
    6104 'r' "pg_publication":
        "oid oid, pubname name, pubowner oid, puballtables bool, pubinsert bool, pubupdate bool, pubdelete \
        bool, pubtruncate bool, pubviaroot bool";
    6237 'r' "pg_publication_namespace":
        "oid oid, pnpubid oid, pnnspid oid";
    6106 'r' "pg_publication_rel":
        "oid oid, prpubid oid, prrelid oid, prqual text, prattrs int2[]";
    12068 'v' "pg_publication_tables":
        "pubname name, schemaname name, tablename name, attnames name[], rowfilter text";
    12257 'v' "pg_replication_slots":
        "slot_name name, plugin name, slot_type text, datoid oid, database name, temporary bool, active bool, \
        active_pid int4, xmin int8, catalog_xmin int8, restart_lsn text, confirmed_flush_lsn text, \
        wal_status text, safe_wal_size int8, two_phase bool";
    12023 'v' "pg_rules":
        "schemaname name, tablename name, rulename name, definition text";
    3596 'r' "pg_seclabel":
        "objoid oid, classoid oid, objsubid int4, provider text, label text";
    12099 'v' "pg_seclabels":
        "objoid oid, classoid oid, objsubid int4, objtype text, objnamespace oid, objname text, provider \
        text, label text";
    1214 'r' "pg_shdepend":
        "dbid oid, classid oid, objid oid, objsubid int4, refclassid oid, refobjid oid, deptype char";
    3592 'r' "pg_shseclabel":
        "objoid oid, classoid oid, provider text, label text";
    12227 'v' "pg_stat_replication":
        "pid int4, usesysid oid, usename name, application_name text, client_addr inet, client_hostname text, \
        client_port int4, backend_start timestamptz, backend_xmin int8, state text, sent_lsn text, write_lsn \
        text, flush_lsn text, replay_lsn text, write_lag interval, flush_lag interval, replay_lag interval, \
        sync_priority int4, sync_state text, reply_time timestamptz";
    3381 'r' "pg_statistic_ext":
        "oid oid, stxrelid oid, stxname name, stxnamespace oid, stxowner oid, stxstattarget int4, stxkeys \
        int2[], stxkind text[], stxexprs text";
    12030 'v' "pg_stats":
        "schemaname name, tablename name, attname name, inherited bool, null_frac float4, avg_width int4, \
        n_distinct float4, most_common_vals text[], most_common_freqs float4[], histogram_bounds text[], \
        correlation float4, most_common_elems text[], most_common_elem_freqs float4[], \
        elem_count_histogram float4[], range_length_histogram text[], range_empty_frac float4, \
        range_bounds_histogram text[]";
    6100 'r' "pg_subscription":
        "oid oid, subdbid oid, subskiplsn text, subname name, subowner oid, subenabled bool, subbinary bool, \
        substream char, subtwophasestate char, subdisableonerr bool, subpasswordrequired bool, \
        subrunasowner bool, subfailover bool, suborigin text, subconninfo text, subslotname name, \
        subsynccommit text, subpublications text[]";
    6102 'r' "pg_subscription_rel":
        "srsubid oid, srrelid oid, srsubstate char, srsublsn text";
    3576 'r' "pg_transform":
        "oid oid, trftype oid, trflang oid, trffromsql text, trftosql text";
    2620 'r' "pg_trigger":
        "oid oid, tgrelid oid, tgparentid oid, tgname name, tgfoid oid, tgtype int2, tgenabled char, \
        tgisinternal bool, tgconstrrelid oid, tgconstrindid oid, tgconstraint oid, tgdeferrable bool, \
        tginitdeferred bool, tgnargs int2, tgattr int2[], tgargs bytea, tgqual text, tgoldtable name, \
        tgnewtable name";
    3602 'r' "pg_ts_config":
        "oid oid, cfgname name, cfgnamespace oid, cfgowner oid, cfgparser oid";
    3600 'r' "pg_ts_dict":
        "oid oid, dictname name, dictnamespace oid, dictowner oid, dicttemplate oid, dictinitoption text";
    3601 'r' "pg_ts_parser":
        "oid oid, prsname name, prsnamespace oid, prsstart text, prstoken text, prsend text, prsheadline \
        text, prslextype text";
    3764 'r' "pg_ts_template":
        "oid oid, tmplname name, tmplnamespace oid, tmplinit text, tmpllexize text";
    1418 'r' "pg_user_mapping":
        "oid oid, umuser oid, umserver oid, umoptions text[]";
    12327 'v' "pg_user_mappings":
        "umid oid, srvid oid, srvname name, umuser oid, usename name, umoptions text[]";
    12275 'v' "pg_stat_user_functions":
        "funcid oid, schemaname name, funcname name, calls int8, total_time float8, self_time float8";
}
