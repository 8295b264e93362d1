//! An image's documents, brought into the store from wherever it is.

use std::collections::BTreeSet;

use crate::{
    error::Failure,
    image::{BlobOrigin, Layout, ReadError, read_document},
    oci::{Descriptor, Index, media_type},
    output::Contents,
    registry::Client,
    store::Store,
};

/// Brings the documents of an image into the store, the bytes as they are, and tells what it consists of. Its blobs stay
/// at `origin` until somebody needs them.
pub async fn gather(
    store: &Store,
    registry: &Client,
    origin: &BlobOrigin,
    root: &Descriptor,
) -> Result<Contents, Failure> {
    let layout = match origin {
        BlobOrigin::Layout(path) => Some(Layout::open(path)?),
        BlobOrigin::Store | BlobOrigin::Registry(_) => None,
    };
    let (mut pending, mut seen) = (vec![root.clone()], BTreeSet::new());
    while let Some(document) = pending.pop() {
        if !seen.insert(document.digest) {
            continue;
        }
        let bytes = match store.read_blob(&document.digest)? {
            Some(bytes) => bytes,
            None => {
                let bytes = match (origin, &layout) {
                    (BlobOrigin::Registry(repository), _) => {
                        registry.manifest(&repository.at(document.digest)).await?.bytes.to_vec()
                    }
                    (_, Some(layout)) => read_document(layout, &document, "document")?,
                    (_, None) => {
                        let digest = document.digest;
                        return Err(ReadError::Missing { what: "document", digest }.into());
                    }
                };
                store.put_blob(&bytes)?;
                bytes
            }
        };
        if media_type::is_index(&document.media_type) {
            let index = Index::parse(&bytes).map_err(|source| ReadError::Json {
                what: "index",
                digest: document.digest,
                source,
            })?;
            pending.extend(index.manifests);
        }
    }
    let mut contents = Contents::read(store, root)?;
    if *origin != BlobOrigin::Store {
        let digests = contents.blobs.iter().map(|blob| blob.digest);
        contents.origins = digests.map(|digest| (digest, origin.clone())).collect();
    }
    Ok(contents)
}
