//! The branches of a conversation: their pages, their number, and runs that begin at the same time.

use std::collections::BTreeSet;

use sequent_core::{RunId, Timestamp};
use sequent_event::RunOutcome;
use sequent_tables::{CursorKey, Update, key, limit::item_bytes};

use crate::{
    Continues, Error, History, NewRun, TurnRequest, create,
    testing::{Conversation, response},
    tree::MAX_BRANCHES,
};

/// The runs of the messages of a page, and its cursor.
async fn page_of(
    conversation: &Conversation,
    through: Option<RunId>,
    cursor: Option<&str>,
) -> (Vec<RunId>, Option<String>) {
    let cursors = CursorKey::new("a key for tests".to_owned().into());
    let history = History::new(conversation.runs.storage(), conversation.tenant).through(through);
    let page = history.page(conversation.project, &cursors, cursor, Some(2)).await.unwrap();
    (page.items.iter().map(|message| message.run_id).collect(), page.next_cursor(&cursors))
}

#[tokio::test]
async fn the_pages_of_a_list_show_the_branch_of_the_first() {
    let conversation = Conversation::new().await;
    let mut runs = Vec::new();
    let answer = async |continues| {
        let new = NewRun { continues, ..conversation.asking() };
        let owner = conversation.begin(&new).await;
        conversation.end(&owner, &new, response("So.", 1, "stop"), RunOutcome::Success).await;
        new.run
    };
    for _ in 0..3 {
        runs.push(answer(Continues::Head).await);
    }
    let (first, of_head) = page_of(&conversation, None, None).await;
    assert_eq!(first, [runs[0], runs[0]]);
    let (_, of_branch) = page_of(&conversation, Some(runs[0]), None).await;
    // It is the head, and the newest run that continues the first.
    let another = answer(Continues::Run(runs[0])).await;
    for (through, cursor) in [(None, of_head), (Some(runs[0]), of_branch)] {
        let (second, cursor) = page_of(&conversation, through, cursor.as_deref()).await;
        assert_eq!(second, [runs[1], runs[1]]);
        let (third, end) = page_of(&conversation, through, cursor.as_deref()).await;
        assert_eq!((third, end), (vec![runs[2], runs[2]], None));
        let (_, cursor) = page_of(&conversation, through, None).await;
        let (second, _) = page_of(&conversation, through, cursor.as_deref()).await;
        assert_eq!(second, [another, another], "a new list shows the branch of now");
    }
}

#[tokio::test]
async fn a_conversation_takes_no_more_branches_than_can_be_read() {
    let conversation = Conversation::new().await;
    let store = conversation.runs.tables();
    let place = key::project(conversation.tenant, conversation.project);
    let asked = conversation.asking();
    let owner = conversation.begin(&asked).await;
    conversation.end(&owner, &asked, response("So.", 1, "stop"), RunOutcome::Success).await;
    store.write(Update::of(&place).set("branches", MAX_BRANCHES - 1)).await.unwrap();
    let beside = NewRun { continues: Continues::Beside(asked.run), ..conversation.asking() };
    create(&conversation.runs, &beside, TurnRequest::Wait).await.unwrap();
    let another = NewRun { continues: Continues::Beside(asked.run), ..conversation.asking() };
    let refused = create(&conversation.runs, &another, TurnRequest::Wait).await;
    assert!(matches!(refused, Err(Error::TooManyBranches)), "{refused:?}");
    let refused = conversation
        .projects()
        .change(conversation.project, None, Some(asked.run), &[], Timestamp::now())
        .await;
    assert!(matches!(refused, Err(Error::TooManyBranches)), "{refused:?}");
    create(&conversation.runs, &conversation.asking(), TurnRequest::Wait).await.expect("the branch goes on");
    // As after a rollback: another run may continue the head.
    store.write(Update::of(&place).set(["next", "forks"], true)).await.unwrap();
    create(&conversation.runs, &conversation.asking(), TurnRequest::Wait).await.expect("the branch goes on");
}

#[tokio::test]
async fn concurrent_runs_leave_one_head_and_none_is_lost() {
    let conversation = Conversation::new().await;
    let all: Vec<NewRun> = (0..12).map(|_| conversation.asking()).collect();
    let creations = all.iter().map(|new| async {
        loop {
            match create(&conversation.runs, new, TurnRequest::Wait).await {
                // The patience of one request ended before its turn came, on a busy machine. A client sends it again.
                Err(Error::HeadMoved) => {}
                created => return created.unwrap(),
            }
        }
    });
    futures::future::join_all(creations).await;
    let messages = conversation.messages().await;
    let on_branch: BTreeSet<RunId> = messages.iter().map(|message| message.run_id).collect();
    assert_eq!(on_branch, all.iter().map(|new| new.run).collect(), "they continue one another");
    let project = conversation.projects().get(conversation.project).await.unwrap();
    assert_eq!(project.head, messages.last().map(|message| message.run_id));
}

/// A write unit is a kilobyte.
#[tokio::test]
async fn the_place_of_a_run_costs_no_write_unit() {
    let conversation = Conversation::new().await;
    for _ in 0..3 {
        let new = conversation.asking();
        let owner = conversation.begin(&new).await;
        conversation.end(&owner, &new, response("So.", 1, "stop"), RunOutcome::Success).await;
    }
    let rows = sequent_tables::testing::all_rows(conversation.runs.tables()).await;
    let sizes: Vec<usize> = rows.iter().map(item_bytes).collect();
    assert!(sizes.iter().all(|bytes| *bytes <= 1024), "{sizes:?}");
}
