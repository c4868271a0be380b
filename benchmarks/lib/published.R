# Tables of R packages, and the mixed models that were published for them; see published.py.
#
# Requests are lines of fields between tabs, and "done" or an error answers each:
#
#     table PACKAGE ITEM FOLDER                      writes table.csv, and kinds.csv: numbers or categories
#     fit PACKAGE ITEM FOLDER FAMILY FORMULA         fits the formula to the rows of each case
#
# `fit` reads cases.csv with the columns case, row and part (train or test), and writes predictions.csv: case,
# row, and the mean or the probability of each class.
suppressPackageStartupMessages({library(lme4); library(ordinal)})
# Few groups, or as many as rows, are no error.
ignored <- list(check.nobs.vs.nlev = "ignore", check.nobs.vs.nRE = "ignore", check.nlev.gtr.1 = "ignore",
                check.nobs.vs.rankZ = "ignore")
linear <- do.call(lmerControl, ignored)
generalised <- do.call(glmerControl, ignored)
fits <- list(
  continuous = function(formula, rows) lmer(formula, rows, control = linear),
  count = function(formula, rows) glmer(formula, rows, poisson(), control = generalised),
  binary = function(formula, rows) glmer(formula, rows, binomial(), control = generalised),
  ordinal = function(formula, rows) clmm(formula, rows)
)

read_table <- function(package, item) {
  data(list = item, package = package, envir = environment())
  frame <- as.data.frame(get(item))
  for (name in names(frame)) if (is.character(frame[[name]])) frame[[name]] <- factor(frame[[name]])
  frame
}

write_table <- function(frame, folder) {
  kinds <- vapply(frame, function(x) if (is.numeric(x)) "number" else "category", "")
  write.csv(data.frame(column = names(frame), kind = kinds), file.path(folder, "kinds.csv"), row.names = FALSE)
  write.csv(frame, file.path(folder, "table.csv"), row.names = FALSE, na = "")
}

# Probabilities of ordered classes, with the mean effect of each group that the fit has seen.
predict_ordered <- function(model, formula, rows) {
  fixed <- delete.response(terms(nobars(formula)))
  shift <- as.vector(model.matrix(fixed, rows)[, names(model$beta), drop = FALSE] %*% model$beta)
  for (name in names(ranef(model))) {
    own <- ranef(model)[[name]][as.character(rows[[name]]), 1]
    shift <- shift + ifelse(is.na(own), 0, own)
  }
  t(apply(cbind(0, plogis(outer(-shift, model$alpha, "+")), 1), 1, diff))
}

predict_case <- function(frame, part, family, formula) {
  at <- part$row[part$part == "test"]
  model <- suppressMessages(suppressWarnings(fits[[family]](formula, frame[part$row[part$part == "train"], ])))
  means <- if (family == "ordinal") predict_ordered(model, formula, frame[at, ]) else
    predict(model, frame[at, ], type = "response", allow.new.levels = TRUE)
  data.frame(case = part$case[[1]], row = at, as.matrix(means))
}

fit_cases <- function(frame, folder, family, formula) {
  cases <- read.csv(file.path(folder, "cases.csv"))
  done <- lapply(split(cases, cases$case), function(part) {
    tryCatch(predict_case(frame, part, family, as.formula(formula)), error = function(e) NULL)
  })
  write.csv(do.call(rbind, done), file.path(folder, "predictions.csv"), row.names = FALSE)
}

answer <- function(given) {
  frame <- read_table(given[[2]], given[[3]])
  if (given[[1]] == "table") write_table(frame, given[[4]]) else
    fit_cases(frame, given[[4]], given[[5]], given[[6]])
  "done"
}

requests <- file("stdin", "r")
while (length(line <- readLines(requests, 1))) {
  told <- tryCatch(answer(strsplit(line, "\t")[[1]]), error = function(e) gsub("\n", " ", conditionMessage(e)))
  cat(told, "\n", sep = "")
}
