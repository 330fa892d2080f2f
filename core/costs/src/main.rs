//! `warren-costs COURSE MESSAGES`: has messages of 16 bytes go through the core, for callgrind to
//! count. What one takes is the difference of two runs divided by that of their messages, so that
//! starting, and all that is done once, cancels out. See `.ci/instructions`.

use std::env;
use std::process::ExitCode;

use warren_costs::{Course, Rig};

const SIZE: usize = 16;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let course = arguments.next().and_then(|name| course(&name));
    let messages = arguments.next().and_then(|number| number.parse().ok());
    let (Some(course), Some(messages)) = (course, messages) else {
        let names = Course::ALL.map(Course::name).join("|");
        eprintln!("usage: warren-costs {names} MESSAGES");
        return ExitCode::from(2);
    };
    let delivered = Rig::new(course, SIZE).run(messages);
    assert_eq!(delivered, messages, "every message is delivered");
    ExitCode::SUCCESS
}

fn course(name: &str) -> Option<Course> {
    Course::ALL.into_iter().find(|course| course.name() == name)
}
