# Predictions of glmmTMB of one count per area, beside which those of GroupedRegressor are held.
#     Rscript tests/grouped/data/lip_cancer.R      # rewrites a column of lip_cancer.csv (glmmTMB)
# Cases of lip cancer in 56 districts of Scotland, 1975 to 1980, those expected by age and sex, and the
# percentage of men in agriculture, fishing and forestry (Clayton and Kaldor, 1987, Biometrics 43).
suppressPackageStartupMessages(library(glmmTMB))
file <- "tests/grouped/data/lip_cancer.csv"
table <- read.csv(file)
table$district <- factor(seq_len(nrow(table)))
formula <- observed ~ agriculture + offset(log(expected)) + (1 | district)
model <- glmmTMB(formula, table, poisson)
print(summary(model))
table$glmmtmb <- signif(fitted(model), 6)
table$district <- NULL
write.csv(table, file, row.names = FALSE, quote = FALSE)
