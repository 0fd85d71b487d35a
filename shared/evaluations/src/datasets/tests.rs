use serde_json::json;

use super::*;

struct Bench {
    store: Store,
    tenant: TenantId,
    cursors: CursorKey,
}

impl Bench {
    async fn new() -> Self {
        let cursors = CursorKey::new("a key for tests".to_owned().into());
        Self { store: sequent_tables::testing::store().await, tenant: TenantId::new(), cursors }
    }

    fn datasets(&self) -> Datasets<'_> {
        Datasets::new(&self.store, self.tenant)
    }

    async fn create(&self, items: &[NewItem]) -> Result<Dataset, Error> {
        let new = NewDataset { name: "tides".to_owned(), description: None, user: UserId::new() };
        self.datasets().create(&new, items, Timestamp::now()).await
    }

    /// The inputs of all items, in pages of two.
    async fn inputs(&self, id: DatasetId) -> Vec<String> {
        let mut inputs = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.datasets().items(id, &self.cursors, cursor.as_deref(), Some(2)).await.unwrap();
            cursor = page.next_cursor(&self.cursors);
            inputs.extend(page.items.into_iter().map(|item| item.content.input.0));
            if cursor.is_none() {
                return inputs;
            }
        }
    }
}

fn item(input: &str) -> NewItem {
    NewItem { input: ItemText(input.to_owned()), expected: Some(json!("yes")), ..NewItem::default() }
}

#[tokio::test]
async fn items_added_at_once_by_many_have_each_number_once() {
    let bench = Bench::new().await;
    let dataset = bench.create(&[item("first")]).await.unwrap();
    let neighbour = bench.create(&[item("other")]).await.unwrap();
    let adding = (0..6).map(|n| {
        let items = [item(&format!("{n}a")), item(&format!("{n}b"))];
        let datasets = bench.datasets();
        async move { datasets.add(dataset.id, &items, Timestamp::now()).await.map(|_| ()) }
    });
    futures::future::try_join_all(adding).await.unwrap();
    let inputs = bench.inputs(dataset.id).await;
    assert_eq!((inputs.len(), inputs[0].as_str()), (13, "first"));
    for pair in inputs[1..].chunks(2) {
        assert_eq!(pair[0].trim_end_matches('a'), pair[1].trim_end_matches('b'), "{inputs:?}");
    }
    let after = bench.datasets().get(dataset.id).await.unwrap();
    assert_eq!(after.items, 13);
    let third = bench.datasets().item(dataset.id, 3).await.unwrap().unwrap();
    assert_eq!((third.number, &third.content.input.0), (3, &inputs[2]));
    assert_eq!(bench.inputs(neighbour.id).await, ["other"]);
}

#[tokio::test]
async fn a_deleted_dataset_leaves_nothing_and_makes_room() {
    let bench = Bench::new().await;
    let dataset = bench.create(&[item("a"), item("b"), item("c")]).await.unwrap();
    for _ in 1..MAX_DATASETS {
        bench.create(&[]).await.unwrap();
    }
    assert!(matches!(bench.create(&[]).await, Err(Error::TooManyDatasets)));
    bench.datasets().delete(dataset.id).await.unwrap();
    assert!(matches!(bench.datasets().get(dataset.id).await, Err(Error::DatasetNotFound)));
    assert_eq!(bench.datasets().item(dataset.id, 2).await.unwrap(), None);
    assert!(matches!(bench.datasets().delete(dataset.id).await, Err(Error::DatasetNotFound)));
    bench.create(&[]).await.unwrap();
}

#[tokio::test]
async fn a_deletion_at_the_same_time_as_additions_leaves_no_item() {
    let bench = Bench::new().await;
    let dataset = bench.create(&vec![item("first"); 40]).await.unwrap();
    let adding = async {
        loop {
            match bench.datasets().add(dataset.id, &[item("more")], Timestamp::now()).await {
                Ok(_) => {}
                Err(refused) => return refused,
            }
        }
    };
    let (refused, deleted) = futures::join!(adding, bench.datasets().delete(dataset.id));
    deleted.unwrap();
    assert!(matches!(refused, Error::DatasetNotFound), "{refused:?}");
    let items = PageRequest::new(key::dataset_items(bench.tenant));
    assert_eq!(bench.store.page_items(&items).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn a_deletion_that_was_cut_short_is_not_seen_and_can_be_completed() {
    let bench = Bench::new().await;
    let dataset = bench.create(&[item("a")]).await.unwrap();
    bench.datasets().begin_deletion(dataset.id).await.unwrap();
    let list = bench.datasets().list(&bench.cursors, None, None).await.unwrap();
    assert_eq!(list.items, []);
    let refused = bench.datasets().add(dataset.id, &[item("b")], Timestamp::now()).await;
    assert!(matches!(refused, Err(Error::DatasetNotFound)), "{refused:?}");
    let refused = bench.datasets().items(dataset.id, &bench.cursors, None, None).await;
    assert!(matches!(refused, Err(Error::DatasetNotFound)), "{refused:?}");
    bench.datasets().delete(dataset.id).await.unwrap();
    let refused = bench.datasets().delete(dataset.id).await;
    assert!(matches!(refused, Err(Error::DatasetNotFound)), "{refused:?}");
    assert_eq!(bench.datasets().item(dataset.id, 1).await.unwrap(), None);
}

#[tokio::test]
async fn items_and_datasets_are_bounded() {
    let bench = Bench::new().await;
    for (items, position) in [
        (vec![item("a"), item(" \n")], 1),
        (vec![item(&"a".repeat(40_001))], 0),
        (vec![NewItem { expected: Some(json!("\"".repeat(22_000))), ..item("a") }], 0),
        (vec![item("a"); 91], 90),
    ] {
        let refused = bench.create(&items).await;
        assert!(matches!(refused, Err(Error::Item(at, _)) if at == position), "{position}: {refused:?}");
    }
    let dataset = bench.create(&[]).await.unwrap();
    let large = vec![item(&"a".repeat(40_000)); 50];
    bench.datasets().add(dataset.id, &large, Timestamp::now()).await.unwrap();
    let refused = bench.datasets().add(dataset.id, &large, Timestamp::now()).await;
    assert!(matches!(refused, Err(Error::TooManyItems)), "{refused:?}");
    assert_eq!(bench.datasets().get(dataset.id).await.unwrap().items, 50);
}
