"""The headline metric against the time of inference, adapters beside the weights."""

from wsa.leaderboard.formats import decimals
from wsa.leaderboard.plots.parts.costs import against_cost, headline, of_values
from wsa.leaderboard.plots.parts.pictures import Picture
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "costs", 50


def draw(view: SuiteView) -> list[Picture]:
    found = view.results.inference
    if found is None:
        return []
    timed = ((entry, view.rounds_of(entry)) for entry in headline(view))
    points = [of_values(entry, rounds) for entry, rounds in timed if rounds]
    return against_cost(
        view, "inference", "Inference time",
        f"Of {found.sentences} sentences with the first seed’s model, the mean over rounds with "
        "its 95 % interval. Adapters stay beside the weights; what is merged into plain weights "
        "takes the pretrained model’s time.",
        points, "inference time, seconds", lambda value: decimals(value, 2),
    )  # fmt: skip
