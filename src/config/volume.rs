//! A volume, of which several sections have one.

use super::section::section;
use super::types::{Quantity, StorageClass};

section! {
    /// A volume.
    Storage, in a layer StorageLayer {
        /// The volume's size.
        size: Quantity, init true, becomes "resources.requests.storage of the volume claim";
        /// The volume's `StorageClass`.
        class: Option<StorageClass>, otherwise "the cluster's default", example "local-path",
            becomes "storageClassName of the volume claim";
    }
}
