# Makes the table of a list of rows (bench/rows.txt) and the samples (bench/measure.sh), and says how
# far the goals in it are reached. Times are in microseconds, sizes in bytes.
BEGIN {
  scale["s"] = 1e6; scale["ms"] = 1e3; scale["MB"] = 1e6; scale["MiB"] = 1048576
  digits["s"] = 2; digits["ms"] = 2; digits["MB"] = 1; digits["MiB"] = 0
}
FNR == 1 { file++ }
file == 1 && /^goal\|/ { aim[++aims] = $0 }
file == 1 && !/^(#|goal\|)/ { row[++rows] = $0 }
file == 2 {
  split($0, part, "\t")
  if (part[2] == "!") failure[part[1]] = part[3]
  else sample[part[1], ++count[part[1]]] = part[2] + 0
}
function median(key,    n, i, j, swap) {
  n = count[key]
  if (!n || key in failure) return ""
  for (i = 1; i <= n; i++) sorted[i] = sample[key, i]
  for (i = 2; i <= n; i++)
    for (j = i; j > 1 && sorted[j - 1] > sorted[j]; j--) {
      swap = sorted[j]; sorted[j] = sorted[j - 1]; sorted[j - 1] = swap
    }
  least = sorted[1]; most = sorted[n]
  return n % 2 ? sorted[(n + 1) / 2] : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
}
function show(value, unit) { return sprintf("%.*f", digits[unit], value / scale[unit]) }
function ratio(value, reference) {
  return value == "" || reference == "" || reference == 0 ? "" : sprintf("%.2f", value / reference)
}
# What must hold: the value of a key, or the quotient of two, at most or at least the limit.
function goal(text, relation, limit, unit, key, divisor,    value, holds) {
  value = divisor == "" ? in_unit(key, unit) : quotient(median(key), median(divisor))
  if (value == "") { printf "  %-58s not measured\n", text; return }
  holds = relation == "<" ? value <= limit + 0 : value >= limit + 0
  printf "  %-58s %7.2f%-4s %s\n", text, value, unit == "" ? "" : " " unit, holds ? "reached" : "NOT reached"
}
function quotient(a, b) { return a == "" || b == "" || b == 0 ? "" : a / b }
function in_unit(key, unit,    m) { m = median(key); return m == "" ? "" : m / scale[unit] }
END {
  rule = "-------------------------------------------------------------------------------------"
  line = "%-24s %-24s %10s  %-19s %s\n"
  printf line, "what", "tool", "median", "min - max", "/ pitr"
  print rule
  for (i = 1; i <= rows; i++) {
    split(row[i], f, "|")
    value = median(f[1])
    low = least; high = most
    if (value == "") {
      why = f[1] in failure ? "FAILED: " failure[f[1]] : "not measured"
      printf "%-24s %-24s %s\n", f[2], f[3], why
      continue
    }
    range = count[f[1]] > 1 ? show(low, f[4]) " - " show(high, f[4]) : ""
    printf line, f[2], f[3], show(value, f[4]) " " f[4], range, ratio(value, median(f[5]))
  }
  print rule
  print "goals"
  for (i = 1; i <= aims; i++) {
    split(aim[i], f, "|")
    goal(f[2], f[3], f[4], f[5], f[6], f[7])
  }
}
