# Contrasts by lme4, glmmTMB and emmeans, and the tables they are of: run Rscript contrasts.R here.
suppressMessages({library(lme4); library(lmerTest); library(emmeans); library(glmmTMB); library(nlme)})
emm_options(lmer.df = "satterthwaite")
found <- data.frame()
keep <- function(table, contrast, frame, kind = "difference") {
  low <- intersect(c("lower.CL", "asymp.LCL"), names(frame)); high <- sub("L$", "L", sub("lower", "upper", sub("LCL", "UCL", low)))
  value <- intersect(c("estimate", "ratio", "odds.ratio"), names(frame))
  found <<- rbind(found, data.frame(table = table, contrast = contrast, kind = kind,
    estimate = frame[[value]], std = frame$SE, lower = frame[[low]], upper = frame[[high]]))
}
of <- function(model, column, to, versus, kind = "difference", ...) {
  at <- setNames(list(c(to, versus)), column)
  means <- emmeans(model, column, at = at, weights = "proportional", ...)
  as.data.frame(summary(contrast(means, list(x = c(1, -1))), infer = TRUE, type = if (kind == "ratio") "response" else "link"))
}
write_table <- function(name, frame) {
  file <- gzfile(paste0(name, ".csv.gz"), "w"); write.csv(frame, file, row.names = FALSE, quote = FALSE); close(file)
}

keep("sleepstudy", "Days 1 0", of(lmer(Reaction ~ Days + (Days | Subject), sleepstudy), "Days", 1, 0))
write_table("sleepstudy", sleepstudy)

ortho <- as.data.frame(Orthodont); ortho$Subject <- as.character(ortho$Subject)
fit <- lmer(distance ~ age + Sex + (1 | Subject), ortho)
keep("Orthodont", "Sex Male Female", of(fit, "Sex", "Male", "Female"))
keep("Orthodont", "age 14 8", of(lmer(distance ~ age + Sex + (age | Subject), ortho), "age", 14, 8))
write_table("Orthodont", ortho)

body <- as.data.frame(BodyWeight); body$Rat <- as.character(body$Rat); body$Diet <- paste0("d", body$Diet)
fit <- lmer(weight ~ Time * Diet + (Time | Rat), body)
keep("BodyWeight", "Diet d2 d1", of(fit, "Diet", "d2", "d1"))
keep("BodyWeight", "Diet d3 d1", of(fit, "Diet", "d3", "d1"))
write_table("BodyWeight", body)

cake <- transform(lme4::cake, temperature = paste0("t", temperature), pair = paste0(recipe, replicate))[, c("pair", "recipe", "temperature", "angle")]
fit <- lmer(angle ~ recipe + temperature + (1 | pair), cake)
keep("cake", "recipe B A", of(fit, "recipe", "B", "A"))
keep("cake", "temperature t225 t175", of(fit, "temperature", "t225", "t175"))
write_table("cake", cake)

rows <- cbpp[rep(seq_len(nrow(cbpp)), cbpp$size), ]
rows$sick <- unlist(mapply(function(i, n) rep(1:0, c(i, n - i)), cbpp$incidence, cbpp$size))
rows$period <- paste0("p", rows$period)
# Herds differ in their course: AIC 557.6, and 565.0 with effects of herds alone. Shares of periods in
# herds are columns, so that effects rest on changes within herds: without, they are -1.23 and -1.87
# log odds, with them -1.00 and -1.53. Probabilities are averaged over rows, and over the
# distribution of the effects of herds.
shares <- paste0("m", 2:4)
for (p in 2:4) rows[[shares[p - 1]]] <- ave((rows$period == paste0("p", p)) * 1, rows$herd)
fit <- glmer(sick ~ period + m2 + m3 + m4 + (1 | herd) + (1 | herd:period), rows, family = binomial)
sd <- sqrt(sum(unlist(VarCorr(fit)))); b <- fixef(fit); V <- as.matrix(vcov(fit))
nodes <- seq(-5, 5, length = 201); weights <- dnorm(nodes) / sum(dnorm(nodes))
over <- function(b, period) {
  X <- model.matrix(fit); X[, 2:4] <- 0; if (period > 1) X[, period] <- 1
  mean(plogis(outer(drop(X %*% b), sd * nodes, "+")) %*% weights)
}
for (to in c(2, 4)) {
  asked <- list(difference = function(b) over(b, to) - over(b, 1), ratio = function(b) qlogis(over(b, to)) - qlogis(over(b, 1)))
  for (kind in names(asked)) {
    g <- sapply(seq_along(b), function(k) { d <- b * 0; d[k] <- 1e-4; (asked[[kind]](b + d) - asked[[kind]](b - d)) / 2e-4 })
    est <- asked[[kind]](b); se <- sqrt(drop(g %*% V %*% g)); ends <- est + c(-1.96, 1.96) * se
    if (kind == "ratio") { est <- exp(est); se <- est * se; ends <- exp(ends) }
    frame <- data.frame(estimate = est, SE = se, asymp.LCL = ends[1], asymp.UCL = ends[2])
    if (kind == "ratio") names(frame)[1] <- "ratio"
    keep("cbpp", paste0("period p", to, " p1"), frame, kind)
  }
}
write_table("cbpp", rows[, c("herd", "period", "sick")])

epil <- transform(epil2[, c("y", "trt", "Base", "Age", "Visit", "subject")], subject = paste0("s", subject))
fit <- glmmTMB(y ~ trt + Base + Age + Visit + (1 | subject), epil, family = nbinom2)
keep("epil2", "trt progabide placebo", of(fit, "trt", "progabide", "placebo", "ratio"), "ratio")
write_table("epil2", epil)

ticks <- transform(grouseticks[, c("TICKS", "YEAR", "cHEIGHT", "BROOD")], YEAR = paste0("y", YEAR), BROOD = paste0("b", BROOD))
fit <- glmmTMB(TICKS ~ YEAR + cHEIGHT + (1 | BROOD), ticks, family = nbinom2)
keep("grouseticks", "YEAR y96 y95", of(fit, "YEAR", "y96", "y95", "ratio"), "ratio")
keep("grouseticks", "YEAR y97 y95", of(fit, "YEAR", "y97", "y95", "ratio"), "ratio")
write_table("grouseticks", ticks)

# Groups differ less than by chance, so their variance is estimated at 0: Satterthwaite's degrees of
# freedom are those of rows (189), Kenward and Roger's those of groups (5.96).
set.seed(1)
group <- rep(1:8, each = 24); noise <- rnorm(192)
flat <- data.frame(y = round(noise - 0.9 * ave(noise, group), 4), arm = rep(c("control", "drug"), each = 4)[group],
  clinic = paste0("c", group), x = round(rnorm(192), 4))
fit <- lmer(y ~ arm + x + (1 | clinic), flat)
keep("flat", "arm drug control", of(fit, "arm", "drug", "control", lmer.df = "kenward-roger"))
write_table("flat", flat)

write.csv(format(found, digits = 8), "contrasts.csv", row.names = FALSE, quote = FALSE)
