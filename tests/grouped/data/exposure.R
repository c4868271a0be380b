# Predictions of glmer with an offset, beside which those of GroupedRegressor are held.
#     Rscript tests/grouped/data/exposure.R      # writes exposure.csv.gz (lme4)
# The table is drawn: counts of 30 groups whose rates differ, exposures from .1 to 40 or so. Of each
# group, a third of the rows is predicted; the last five groups are new.
suppressPackageStartupMessages(library(lme4))
set.seed(7)
n <- 360
group <- rep(1:30, each = 12)
x <- round(rnorm(n), 3)
exposure <- signif(exp(rnorm(n, 0.7, 1.2)), 3)
rate <- exp(0.5 + 0.6 * x + rnorm(30, 0, 0.6)[group])
table <- data.frame(group, x, exposure, y = rpois(n, rate * exposure), rate = signif(rate, 5))
table$known <- as.integer(group <= 25 & rep(1:3, n / 3) != 3)
model <- glmer(y ~ x + (1 | group) + offset(log(exposure)), table[table$known == 1, ], poisson)
found <- predict(model, table, type = "response", allow.new.levels = TRUE)
table$glmer <- signif(found, 6)
write.csv(table, gzfile("tests/grouped/data/exposure.csv.gz"), row.names = FALSE)
