"""How fast gsx is, against others who do the same work on the same machine in the same minute. `scripts/benchmark` runs it.

Times drift by tens of per cent within minutes, so no number here stands alone that could stand in a pair: ours and theirs are measured in
turn, and what is reported is the median of the paired ratios, with its quartiles. Peers are written to win: a slow one would prove nothing.
"""
