//! What is attached to an image goes along with it.

use imgbuild::{
    image::BlobOrigin,
    oci::{Descriptor, Index, Manifest, media_type},
    output::Contents,
    registry::referrers_tag,
    release::{Goal, Terms, copy_referrers, gather},
};

use super::scene::{Bench, client, repository, tags};
use crate::support::registry::Fake;

#[tokio::test]
async fn signatures_are_copied_with_the_image() {
    let (from, to) = (Fake::start().await, Fake::start().await);
    let bench = Bench::new(Terms::default());
    let image = bench.image("a");
    let name = |fake: &Fake, tag: &str| repository(&fake.host()).tagged(tag);
    let publish = async |bench: &Bench, contents: &Contents, fake: &Fake, tag: &str| {
        let goals = Goal::of_names(&[name(fake, tag)]);
        bench.publisher.publish(&goals, contents, &bench.pusher()).await.unwrap();
    };
    publish(&bench, &image, &from, "1").await;

    // One thing by its subject, in the list that whoever attaches keeps; another by cosign's tag.
    let store = &bench.publisher.store;
    let attach = |kind: &str, subject: Option<&Descriptor>| {
        let config = store.put_blob(b"{}").unwrap();
        let mut manifest = Manifest::new(Descriptor::new(media_type::EMPTY, config, 2), Vec::new());
        manifest.artifact_type = Some(kind.to_owned());
        manifest.subject = subject.cloned();
        let bytes = manifest.to_bytes();
        store.put_blob(&bytes).unwrap();
        Contents::read(store, &Descriptor::of(media_type::MANIFEST, &bytes)).unwrap()
    };
    let subject = referrers_tag(&image.root.digest);
    let listed = attach("application/list", Some(&image.root));
    bench.pusher().send(&listed, &[repository(&from.host())].into()).await.unwrap();
    let list = Index::new(vec![listed.root.clone()]).to_bytes();
    client().push_manifest(&name(&from, &subject), media_type::INDEX, list.into()).await.unwrap();
    let signature = attach("application/signature", None);
    publish(&bench, &signature, &from, &format!("{subject}.sig")).await;

    // On another machine.
    let bench = Bench::new(Terms::default());
    let (store, registry) = (&bench.publisher.store, &bench.client);
    let origin = BlobOrigin::Registry(repository(&from.host()));
    let contents = gather(store, registry, &origin, &image.root).await.unwrap();
    publish(&bench, &contents, &to, "1").await;
    let targets = [repository(&to.host())].into();
    let pusher = bench.pusher();
    for _ in 0..2 {
        let copied =
            copy_referrers(store, registry, &pusher, &repository(&from.host()), &contents, &targets).await;
        assert_eq!(copied.unwrap(), 2);
        let found = client().referrers(&repository(&to.host()), &image.root.digest).await.unwrap();
        assert_eq!(found.iter().map(|one| one.digest).collect::<Vec<_>>(), [listed.root.digest]);
        assert_eq!(tags(&to.host()).await[&format!("{subject}.sig")], signature.root.digest);
    }
}
