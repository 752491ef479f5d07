/** Numbers that look random and are the same for the same seed, so that a run can be repeated event by event. */
export interface Random {
  /** 32 bits. */
  bits(): number;
  /** At least 0, below 1. */
  unit(): number;
  /** Whole, at least 0, below `bound`. */
  below(bound: number): number;
}

/** sfc32 of Chris Doty-Humphrey's PractRand: a period of at least 2^32, whatever the seed. */
export function seededRandom(seed: number): Random {
  let [a, b, c, counter] = [seed | 0, 0x9e3779b9 | 0, 0x243f6a88 | 0, 1];
  const bits = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  // The first outputs of close seeds resemble each other.
  for (let i = 0; i < 20; i++) bits();
  const unit = () => bits() / 2 ** 32;
  return { bits, unit, below: (bound) => Math.floor(unit() * bound) };
}

/** Draws ranks 0, 1, 2, … with weights 1, 1/2^s, 1/3^s, … */
export function zipf(ranks: number, exponent: number): (random: Random) => number {
  const upTo = new Float64Array(ranks);
  let sum = 0;
  for (let rank = 0; rank < ranks; rank++) {
    sum += (rank + 1) ** -exponent;
    upTo[rank] = sum;
  }
  return (random) => {
    const wanted = random.unit() * sum;
    let [low, high] = [0, ranks - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((upTo[middle] as number) > wanted) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}
