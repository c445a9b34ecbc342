"""What the embedder and the language model return on films: `python -m examples.films.returns [PICTURE.png]`.

For each of them the graph is fitted and replayed once more without it. What a film that is watched is worth, and
what a processor costs, are the reader's to say; these figures are an example.
"""

import sys

import motet as mt
from examples.films.demo import TEST_FROM
from examples.films.graph import data, films
from motet.returns import plots

WORTH = mt.Worth(hit=0.02)  # each time that one of the ten is what was watched
PRICES = mt.Prices(cpu_hour=0.04)
REQUESTS = 1_000_000  # that a fit and what is prepared last for


def main() -> None:
    train, test = data().split(at=TEST_FROM)
    found = films.fit(train).returns(test, WORTH, PRICES, output="top", requests=REQUESTS)
    print(found)
    for picture in sys.argv[1:]:
        print(f"drawn: {plots.frontier(found, picture)}")


if __name__ == "__main__":
    main()
