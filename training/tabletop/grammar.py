"""The wordings of actions. Sentence = what the robot does + what comes of it (grammar_outcomes).

An optional part holds its own blank: `picks {o} up[ again]`. In each list the first is canonical;
the lists called HELDOUT_… are never used in the training split.
"""

from __future__ import annotations

from typing import TypeVar

from training.tabletop.templates import Template, templates

K = TypeVar("K")

S = "the (gripper|robot|arm|robot arm)"
T = f"{S} (tries to|attempts to|wants to)"
BY = "[ by the (gripper|robot|arm)]"

DIRECTION = {
    "push_left": "(to the left|leftwards|left)",
    "push_right": "(to the right|rightwards|right)",
    "push_away": "(away|to the back|backwards|towards the wall)",
    "push_near": "(nearer|to the front|forwards|towards the viewer)",
}

# --- what a planner says: the object of put_down, stack_on … is what is held ----------------------

INSTRUCTIONS: dict[str, tuple[str, ...]] = {
    "pick_up": ("pick up {o}", "pick {o} up", "lift {o}[ up]", "(grab|grasp|take) {o}"),
    "put_down": (
        "put down what you hold",
        "put what you hold down",
        "set down what is in the hand",
    ),
    "stack_on": ("stack what you hold on {t}", "(put|place) what you hold on[ top of] {t}"),
    "open_drawer": ("open the drawer", "pull the drawer (open|out)", "pull (open|out) the drawer"),
    "close_drawer": (
        "close the drawer",
        "(shut|push shut) the drawer",
        "push the drawer (in|shut)",
    ),
    "put_in_drawer": (
        "put what you hold in the drawer",
        "(place|lay) what you hold (in|into) the drawer",
    ),
    "take_out_of_drawer": (
        "take the object out of the drawer",
        "(fetch|get|lift) the object (out of|from) the drawer",
    ),
    "tip_over": ("tip {o} over", "tip over {o}", "knock {o} (over|down)", "lay {o} on its side"),
    "shake": ("shake what you hold", "swing what you hold from side to side"),
    "go_home": ("go home", "(move|go) back home", "return (home|to the rest position)"),
}
HELDOUT_INSTRUCTIONS: dict[str, tuple[str, ...]] = {
    "pick_up": ("raise {o}", "bring {o} up"),
    "put_down": ("let what you hold down", "lower what you hold and let it go"),
    "stack_on": ("on[ top of] {t} put what you hold", "what you hold goes on[ top of] {t}"),
    "open_drawer": ("get the drawer open", "have the drawer opened"),
    "close_drawer": ("get the drawer closed", "have the drawer closed"),
    "put_in_drawer": ("into the drawer put what you hold", "what you hold goes in the drawer"),
    "take_out_of_drawer": (
        "out of the drawer take the object",
        "bring the object out of the drawer",
    ),
    "tip_over": ("push {o} over", "make {o} fall over"),
    "shake": ("move what you hold to and fro", "make what you hold swing"),
    "go_home": ("get back home", "back home now"),
}

# --- what the robot does --------------------------------------------------------------------------

DOES: dict[str, tuple[str, ...]] = {
    "pick_up": (
        S + " picks up {o}",
        S + " picks {o} up",
        S + " lifts {o}[ up]",
        S + " (grasps|grabs|takes) {o} and lifts it[ up]",
        S + " takes {o} up",
        "{o} is picked up" + BY,
        "{o} is (lifted|taken up)" + BY,
        S + " closes on {o} and lifts it",
    ),
    "put_down": (
        S + " puts {o} down",
        S + " puts down {o}",
        S + " (sets|lays) {o} down",
        S + " sets down {o}",
        S + " lowers {o} and lets (it go|go of it)",
        S + " lowers and releases {o}",
        "{o} is put down" + BY,
        "{o} is (set|laid) down" + BY,
    ),
    "stack_on": (
        S + " stacks {o} on {t}",
        S + " puts {o} on[ top of] {t}",
        S + " places {o} on[ top of] {t}",
        S + " (sets|lays) {o} on[ top of] {t}",
        S + " lowers {o} onto {t}",
        "{o} is stacked on {t}" + BY,
        "{o} is (placed|put) on[ top of] {t}" + BY,
        S + " lets {o} down onto {t}",
    ),
    "open_drawer": (
        S + " opens the drawer",
        S + " pulls the drawer open",
        S + " pulls open the drawer",
        S + " pulls the drawer out",
        S + " pulls out the drawer",
        S + " slides the drawer open",
        "the drawer is opened" + BY,
        "the drawer is pulled (open|out)" + BY,
    ),
    "close_drawer": (
        S + " closes the drawer",
        S + " shuts the drawer",
        S + " pushes the drawer (shut|closed)",
        S + " pushes the drawer in",
        S + " slides the drawer (shut|closed)",
        "the drawer is closed" + BY,
        "the drawer is shut" + BY,
        "the drawer is pushed (in|shut)" + BY,
    ),
    "put_in_drawer": (
        S + " puts {o} in the drawer",
        S + " puts {o} into the drawer",
        S + " (places|lays) {o} (in|into) the drawer",
        S + " lowers {o} into the drawer",
        S + " drops {o} into the drawer",
        S + " stows {o} in the drawer",
        "{o} is put (in|into) the drawer" + BY,
        "{o} is (placed|laid) in the drawer" + BY,
    ),
    "take_out_of_drawer": (
        S + " takes {o} out of the drawer",
        S + " takes {o} from the drawer",
        S + " (fetches|gets) {o} (out of|from) the drawer",
        S + " lifts {o} (out of|from) the drawer",
        S + " picks {o} out of the drawer",
        "{o} is taken out of the drawer" + BY,
        "{o} is lifted out of the drawer" + BY,
        "{o} is (fetched|taken) from the drawer" + BY,
    ),
    "tip_over": (
        S + " tips {o} over",
        S + " tips over {o}",
        S + " knocks {o} (over|down)",
        S + " knocks over {o}",
        S + " lays {o} on its side",
        S + " makes {o} fall over",
        "{o} is tipped over" + BY,
        "{o} is knocked (over|down)" + BY,
    ),
    "shake": (
        S + " shakes {o}",
        S + " swings {o} from side to side",
        S + " swings {o} (about|to and fro)",
        S + " waves {o} (about|to and fro)",
        S + " rattles {o}",
        "{o} is shaken" + BY,
        "{o} is swung from side to side" + BY,
        "{o} is (waved|swung) (about|to and fro)" + BY,
    ),
    "go_home": (
        S + " goes home",
        S + " returns home",
        S + " moves back home",
        S + " goes back to its (home|rest) position",
        S + " moves to its (home|rest) position",
        S + " returns to its (home|rest) position",
        S + " drives (home|back home)",
        S + " heads home",
    ),
}
HELDOUT_DOES: dict[str, tuple[str, ...]] = {
    "pick_up": (S + " raises {o}", "now {o} is picked up"),
    "put_down": ("now {o} is put down", S + " lets {o} down"),
    "stack_on": ("on[ top of] {t} " + S + " puts {o}", "now {o} is stacked on {t}"),
    "open_drawer": ("now the drawer is opened", S + " gets the drawer open"),
    "close_drawer": ("now the drawer is closed", S + " gets the drawer closed"),
    "put_in_drawer": ("into the drawer " + S + " puts {o}", "now {o} is put in the drawer"),
    "take_out_of_drawer": (
        "out of the drawer " + S + " takes {o}",
        "now {o} is taken out of the drawer",
    ),
    "tip_over": ("now {o} is tipped over", S + " pushes {o} over"),
    "shake": ("now {o} is shaken", S + " moves {o} to and fro"),
    "go_home": ("now " + S + " goes home", S + " gets back home"),
}
TRIES: dict[str, tuple[str, ...]] = {
    "pick_up": (*(f"{T} {i}" for i in INSTRUCTIONS["pick_up"]), S + " reaches for {o}"),
    "put_down": (
        T + " put {o} down",
        T + " put down {o}",
        T + " (set|lay) {o} down",
        S + " lowers {o}",
    ),
    "stack_on": (
        T + " stack {o} on {t}",
        T + " (put|place) {o} on[ top of] {t}",
        T + " (set|lay) {o} on[ top of] {t}",
        S + " moves {o} over {t}",
    ),
    "open_drawer": (
        *(f"{T} {i}" for i in INSTRUCTIONS["open_drawer"]),
        S + " goes to the drawer to open it",
    ),
    "close_drawer": (
        *(f"{T} {i}" for i in INSTRUCTIONS["close_drawer"]),
        S + " goes to the drawer to close it",
    ),
    "put_in_drawer": (
        T + " put {o} in the drawer",
        T + " (put|place|lay) {o} (in|into) the drawer",
        T + " stow {o} in the drawer",
        S + " moves {o} to the drawer",
    ),
    "take_out_of_drawer": (),
    "tip_over": tuple(f"{T} {i}" for i in INSTRUCTIONS["tip_over"]),
    "shake": (),
    "go_home": (
        T + " go home",
        T + " (move|go|drive) back home",
        T + " return (home|to its rest position)",
    ),
}
EMPTY: dict[str, tuple[str, ...]] = {
    "put_down": (
        T + " put something down",
        T + " (set|lay) something down",
        T + " put down something",
    ),
    "stack_on": (T + " stack something on {t}", T + " (put|place|set) something on[ top of] {t}"),
    "put_in_drawer": (
        T + " put something in the drawer",
        T + " (put|place|lay) something (in|into) the drawer",
    ),
    "take_out_of_drawer": (
        T + " take something out of the drawer",
        T + " (fetch|get|lift|take) something (out of|from) the drawer",
        S + " reaches for something in the drawer",
    ),
    "shake": (T + " shake something", T + " swing something from side to side"),
}
for _push, _way in DIRECTION.items():
    INSTRUCTIONS[_push] = (
        f"push {{o}} {_way}",
        f"(slide|shove|move) {{o}} {_way}",
        f"give {{o}} a push {_way}",
    )
    HELDOUT_INSTRUCTIONS[_push] = (f"make {{o}} slide {_way}", f"with a push {{o}} goes {_way}")
    DOES[_push] = (
        f"{S} pushes {{o}} {_way}",
        f"{S} slides {{o}} {_way}",
        f"{S} shoves {{o}} {_way}",
        f"{S} moves {{o}} {_way}",
        f"{S} gives {{o}} a push {_way}",
        f"{S} drives {{o}} {_way}",
        f"{{o}} is pushed {_way}{BY}",
        f"{{o}} is (shoved|moved|slid) {_way}{BY}",
    )
    HELDOUT_DOES[_push] = (f"now {{o}} is pushed {_way}", f"{S} makes {{o}} slide {_way}")
    TRIES[_push] = (*(f"{T} {i}" for i in INSTRUCTIONS[_push]), f"{S} goes to push {{o}} {_way}")

IDLE = (
    "nothing moves",
    "nothing (happens|is happening)",
    "nothing is moving",
    "the (gripper|robot|arm) (waits|stands still|rests)",
    "the (gripper|robot|arm) does (nothing|not move)",
    "everything (is|stands|stays) still",
    "all is (still|quiet)",
    "there is no (motion|movement)",
    "the scene (is|stays) still",
)
HELDOUT_IDLE = (
    "still stands the (gripper|robot|arm)",
    "nothing at all moves",
    "no movement is there",
)

LABELS = {
    "pick_up": "picking up an object",
    "put_down": "putting down the held object",
    "stack_on": "stacking the held object on another one",
    "push_left": "pushing an object to the left",
    "push_right": "pushing an object to the right",
    "push_away": "pushing an object away",
    "push_near": "pushing an object nearer",
    "open_drawer": "opening the drawer",
    "close_drawer": "closing the drawer",
    "put_in_drawer": "putting the held object in the drawer",
    "take_out_of_drawer": "taking an object out of the drawer",
    "tip_over": "tipping over an object",
    "shake": "shaking the held object",
    "go_home": "going home",
    "idle": "nothing moves",
}


def compiled(table: dict[K, tuple[str, ...]]) -> dict[K, tuple[Template, ...]]:
    """The same table with its sources as templates."""
    return {key: templates(*sources) for key, sources in table.items()}
