//! pgvector's operator classes: which metrics of which vectors an access method takes.

use crate::catalog::IndexMethod;
use crate::distance::{Element, Metric};

/// The classes of `hnsw` or `ivfflat`; no other method has any.
pub fn vector_classes(method: IndexMethod) -> impl Iterator<Item = (Element, Metric)> {
    let all = Element::ALL.into_iter();
    let all = all.flat_map(|element| Metric::of(element).iter().map(move |&metric| (element, metric)));
    all.filter(move |&(element, metric)| match method {
        IndexMethod::Hnsw => true,
        // Centres of sparse vectors would not be sparse, and L1 and Jaccard have no means.
        IndexMethod::Ivfflat => element != Element::Sparse && !matches!(metric, Metric::L1 | Metric::Jaccard),
        IndexMethod::Btree
        | IndexMethod::Bitmap
        | IndexMethod::Hash
        | IndexMethod::Gin
        | IndexMethod::Gist => false,
    })
}

/// Whether it is the class of an index that names none.
pub fn is_default(method: IndexMethod, element: Element, metric: Metric) -> bool {
    method == IndexMethod::Ivfflat && element == Element::F32 && metric == Metric::L2
}
