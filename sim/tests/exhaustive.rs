//! Small plans with all there is of crashes and split streams. A test plays an even sample; all of
//! it is played by `warren-sim exhaustive sim/corpus/exhaustive`.

use warren_sim::exhaustive::{Breadth, Case, Kind, Survey};
use warren_sim::plan::Plan;
use warren_sim::run::{Options, Outcome, play};
use warren_sim::world::{Fault, Tamper};

/// How many cases of each plan are played, besides those in the recoveries that follow them.
const SAMPLE: usize = 30;

const SMALL: &str = "
c1 connect latency_us=50
c1/1 open
c1/1 confirm
c1/1 declare q=q1 durable
wait us=3000
c1/1 publish key=q1 body=20 persistent
wait us=3000
";

fn plan(text: &str) -> Plan {
    text.parse().expect("a plan")
}

fn survey(plan: &Plan, breadth: Breadth, broken: Option<Fault>) -> Survey {
    Survey::new(plan, breadth, broken).unwrap_or_else(|failed| {
        panic!("it fails without any trouble: {:?}", failed.1.failure);
    })
}

fn play_sample(survey: &Survey, count_max: usize) -> Vec<(Kind, Case, Outcome)> {
    let mut played = Vec::new();
    for at in survey.places(count_max) {
        survey.play(at, &mut |kind, case, outcome| played.push((kind, case, outcome)));
    }
    played
}

#[test]
fn a_sample_of_every_exhaustive_plan_passes() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/exhaustive");
    let mut plans = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is part of the crate") {
        let path = entry.expect("an entry of the corpus").path();
        let plan = plan(&std::fs::read_to_string(&path).expect("a plan is a text"));
        let survey = survey(&plan, Breadth { seeds: 2, ..Breadth::default() }, None);
        for (_, case, outcome) in play_sample(&survey, SAMPLE) {
            if let Some(failure) = outcome.failure {
                panic!("{}: {}: {failure}\n{}", path.display(), case.name, case.plan);
            }
        }
        plans += 1;
    }
    assert!(plans >= 6, "only {plans} plans in {folder}");
}

#[test]
fn every_request_to_the_disk_is_a_crash_that_happens() {
    let breadth = Breadth { seeds: 1, has_splits: false, ..Breadth::default() };
    let survey = survey(&plan(SMALL), breadth, None);
    assert_eq!(survey.len() as u64, 2 * survey.requests());
    let played = play_sample(&survey, usize::MAX);
    let ends = |outcome: &Outcome| {
        let ends = ["crash", "power"].map(|end| {
            let classes = [end.to_owned(), format!("{end}-in-recovery"), format!("{end}-in-stop")];
            let count = |class: &String| outcome.faults.get(class.as_str()).copied().unwrap_or(0);
            classes.iter().map(count).sum::<u64>()
        });
        // The power fails once in the last phase of every run.
        ends.iter().sum::<u64>() - 1
    };
    for (kind, case, outcome) in &played {
        let wanted = if *kind == Kind::Crash { 1 } else { 2 };
        assert_eq!(ends(outcome), wanted, "{}\n{}", case.name, case.plan);
    }
    let again = played.iter().filter(|(kind, ..)| *kind == Kind::CrashInRecovery).count();
    assert!(again as u64 > 10 * survey.requests(), "{again}");
    let in_stop = played.iter().any(|(_, case, _)| {
        let stop = case.plan.steps.iter().position(|step| step.verb() == "stop").expect("a stop");
        case.plan.steps[stop - 1].value("crash_at").is_some()
    });
    assert!(in_stop, "no crash falls on the stop");
}

#[test]
fn every_byte_of_a_stream_is_a_place_to_split_it() {
    let breadth = Breadth { has_crashes: false, ..Breadth::default() };
    let survey = survey(&plan(SMALL), breadth, None);
    let (bytes, connections) = survey.bytes();
    assert_eq!((connections, survey.len() as u64), (1, bytes - 1));
    assert!(bytes > 300, "{bytes}");
    let sample = survey.places(10);
    assert_eq!((sample.len(), sample[0]), (10, 0));
    assert!(sample.is_sorted_by(|one, next| one < next) && sample[9] < survey.len());
}

#[test]
fn what_depends_on_where_a_stream_is_split_is_found_and_its_plan_fails_again() {
    let broken = Some(Fault::AnswerPart);
    let survey = survey(&plan(SMALL), Breadth { has_crashes: false, ..Breadth::default() }, broken);
    let played = play_sample(&survey, 30);
    let failed = played.iter().find(|(.., outcome)| outcome.failure.is_some());
    let (_, case, outcome) = failed.expect("a part of a frame is answered");
    let checker = |outcome: &Outcome| outcome.failure.as_ref().map(|failure| failure.checker);
    assert_eq!(checker(outcome), Some("splitting"), "{:?}", outcome.failure);

    let read = plan(&case.plan.to_string());
    let tamper = broken.map(Tamper::new);
    assert_eq!(checker(&play(&read, Options { keeps_trace: false, tamper })), Some("splitting"));
    assert_eq!(checker(&play(&read, Options::default())), None);
}

#[test]
fn a_plan_that_fails_without_trouble_is_not_tried_further() {
    let survey = Survey::new(&plan(SMALL), Breadth::default(), Some(Fault::InventConfirm));
    let Err(failed) = survey else { panic!("a confirm too many goes unnoticed") };
    let (plan, outcome) = *failed;
    assert_eq!(outcome.failure.map(|failure| failure.checker), Some("confirms"));
    assert!(plan.steps.iter().any(|step| step.verb() == "publish"));
}
