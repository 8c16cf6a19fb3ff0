"""The published record: numbers that others printed, checked by arithmetic and put to the test.

`schema` and `reading`: what people write in `config/literature/`; `arithmetic`: what a printed
figure can be; `copies`: who took a number from whom, and how far reruns lie apart; `orderings`:
what is printed above what, and how a suite's runs judge it.
"""
