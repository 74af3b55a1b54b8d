//! The entities: makers and their items with a column of most types, and two states of a table that grows.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Enum", enum_name = "sea_mood")]
pub enum Mood {
    #[sea_orm(string_value = "happy")]
    Happy,
    #[sea_orm(string_value = "sad")]
    Sad,
}

pub mod maker {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sea_makers")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        #[sea_orm(unique)]
        pub name: String,
        pub since: Option<Date>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(has_many = "super::item::Entity")]
        Item,
    }

    impl Related<super::item::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Item.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod item {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sea_items")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub maker_id: Option<i32>,
        #[sea_orm(column_type = "Text", indexed)]
        pub name: String,
        #[sea_orm(column_type = "Decimal(Some((10, 2)))")]
        pub price: Decimal,
        #[sea_orm(default_value = true)]
        pub active: bool,
        #[sea_orm(column_type = "JsonBinary")]
        pub about: Json,
        pub tags: Vec<String>,
        pub code: Uuid,
        #[sea_orm(default_expr = "Expr::current_timestamp()")]
        pub added: DateTimeWithTimeZone,
        pub mood: Option<super::Mood>,
        pub data: Option<Vec<u8>>,
        #[sea_orm(column_type = "Vector(Some(3))", nullable)]
        pub embedding: Option<PgVector>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::maker::Entity",
            from = "Column::MakerId",
            to = "super::maker::Column::Id",
            on_delete = "Cascade"
        )]
        Maker,
    }

    impl Related<super::maker::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Maker.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod synced {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "Enum", enum_name = "sea_colour")]
    pub enum Colour {
        #[sea_orm(string_value = "red")]
        Red,
        #[sea_orm(string_value = "blue")]
        Blue,
    }

    pub mod first {
        use sea_orm::entity::prelude::*;

        #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
        #[sea_orm(table_name = "sea_synced")]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i32,
            pub name: String,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    }

    pub mod followed {
        use sea_orm::entity::prelude::*;

        #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
        #[sea_orm(table_name = "sea_followed")]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i32,
            pub name: String,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    }

    pub mod followed_by_more {
        use sea_orm::entity::prelude::*;

        #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
        #[sea_orm(table_name = "sea_followed")]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i32,
            pub name: String,
            #[sea_orm(unique)]
            pub code: Option<Uuid>,
            #[sea_orm(column_type = "Vector(Some(3))", nullable)]
            pub embedding: Option<PgVector>,
            pub colour: Option<super::Colour>,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    }

    pub mod notes {
        use sea_orm::entity::prelude::*;

        #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
        #[sea_orm(table_name = "sea_followed_notes")]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i64,
            pub followed_id: i32,
            #[sea_orm(column_type = "Text")]
            pub note: String,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {
            #[sea_orm(
                belongs_to = "super::followed_by_more::Entity",
                from = "Column::FollowedId",
                to = "super::followed_by_more::Column::Id"
            )]
            Followed,
        }

        impl ActiveModelBehavior for ActiveModel {}
    }
}
