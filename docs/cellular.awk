# Writes docs/cellular.trace: opportunities to send, in milliseconds, for two seconds.
# awk -f docs/cellular.awk > docs/cellular.trace
# The rate swings between about 1 and 12 Mbit/s. From 1,200 ms to 1,400 ms nothing gets through.
BEGIN {
    for (millisecond = 1; millisecond <= 2000; millisecond++) {
        if (millisecond > 1200 && millisecond <= 1400) continue
        # Bytes in this millisecond: 813 in the mean, and 688 more or less, four times in two seconds.
        credit += 813 + 688 * sin(millisecond * 2 * 3.14159265 * 4 / 2000)
        while (credit >= 1500) {
            print millisecond
            credit -= 1500
        }
    }
    print 2000
}
