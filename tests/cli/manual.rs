//! `completions` and `man`.

use std::process::Command;

use crate::support::Home;

#[test]
fn completions_know_commands_flags_and_statuses_in_every_shell() {
    let home = Home::new("alice");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = home.run(&["completions", shell]);
        assert_eq!((script.code, script.err.as_str()), (0, ""), "{shell}: {script:?}");
        // Not every shell's script has the values of an argument.
        let words = if ["bash", "fish", "zsh"].contains(&shell) { &["in-call", "vacation"][..] } else { &[] };
        for word in ["watchers", "no-agent"].iter().chain(words) {
            assert!(script.out.contains(word), "{shell} does not complete {word}");
        }
        let path = home.path(shell);
        std::fs::write(&path, &script.out).unwrap();
        // A shell that is not there cannot be asked.
        if ["bash", "zsh", "fish"].contains(&shell)
            && let Ok(checked) = Command::new(shell).arg("-n").arg(&path).output()
        {
            assert!(checked.status.success(), "{shell}: {checked:?}");
        }
    }
    let none = home.run(&["completions", "cmd"]);
    assert_eq!(none.code, 2, "{none:?}");
}

#[test]
fn the_manual_names_every_command_and_has_a_page_for_each() {
    let home = Home::new("alice");
    let main = home.run(&["man"]);
    assert_eq!((main.code, main.err.as_str()), (0, ""), "{main:?}");
    assert!(main.out.starts_with(".ie") || main.out.starts_with(".TH"), "{:.60}", main.out);
    let help = home.run(&["--help"]).out;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Further lines of a text stand further in.
    let commands = commands.filter(|line| !line.starts_with("   "));
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        let escaped = command.replace('-', "\\-");
        assert!(main.out.contains(&format!("sippresence\\-{escaped}(1)")), "{command} is not in the manual");
        let page = home.run(&["man", command]);
        assert_eq!(page.code, 0, "{page:?}");
        assert!(page.out.contains(&format!(".TH sippresence-{command} 1")), "{:.200}", page.out);
    }
    assert!(home.run(&["man", "watchers", "allow"]).out.contains("WHO"));
}

#[test]
fn a_page_of_no_command_names_the_nearest() {
    let home = Home::new("alice");
    home.run(&["man", "wach"]).fails(2, "sippresence: there is no command `sippresence wach`: did you mean `watch`?");
    home.config("[agent\n");
    assert_eq!(home.run(&["man"]).code, 0);
}

#[test]
fn the_words_of_set_complete_and_every_other_text_is_taken() {
    let home = Home::new("alice");
    let help = home.run(&["set", "--help"]);
    assert!(!help.out.contains("looking-for-work"), "{help:?}");
    let _agent = home.agent();
    assert_eq!(home.run(&["set", "custom:Writing the report"]).code, 0);
    let set = home.run(&["set", "avialable"]);
    assert!(set.code == 2 && set.err.contains("unknown status `avialable`"), "{set:?}");
}
