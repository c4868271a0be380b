# Estimates of lme4, glmmTMB and ordinal, and the data they are of: `Rscript estimates.R` in this folder.
# Data: lme4 (GPL >= 2), nlme (GPL >= 2), glmmTMB (AGPL-3), ordinal (GPL >= 2).
suppressMessages({library(lme4); library(glmmTMB); library(ordinal)})
estimates <- data.frame()
add <- function(model, name, value)
  estimates <<- rbind(estimates, data.frame(model = model, name = name, value = as.numeric(value)))

# Fixed coefficients, standard deviations and correlations of effects, and log likelihood.
of_model <- function(name, fit) {
  fixed <- fixef(fit); if (is.list(fixed)) fixed <- fixed$cond
  for (k in seq_along(fixed)) add(name, paste0("fixed:", k - 1), fixed[k])
  parts <- VarCorr(fit); if (inherits(fit, "glmmTMB")) parts <- parts$cond
  for (factor in names(parts)) {
    deviations <- attr(parts[[factor]], "stddev")
    for (k in seq_along(deviations)) add(name, paste0("std:", factor, ":", k - 1), deviations[k])
    if (length(deviations) > 1)
      add(name, paste0("correlation:", factor), attr(parts[[factor]], "correlation")[2, 1])
  }
  if (inherits(fit, "lmerMod")) add(name, "noise", sigma(fit))
  if (inherits(fit, "glmmTMB")) add(name, "size", sigma(fit))
  add(name, "log_likelihood", logLik(fit))
}
write <- function(name, data) write.csv(data, gzfile(paste0(name, ".csv.gz")), row.names = FALSE)
precise <- lmerControl(optCtrl = list(xtol_abs = 1e-10, ftol_abs = 1e-12, maxeval = 1e5))
precise_glmer <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e5))

of_model("sleepstudy", lmer(Reaction ~ Days + (Days | Subject), sleepstudy, control = precise))
of_model("penicillin", lmer(diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin, control = precise))
of_model("pastes", lmer(strength ~ 1 + (1 | batch) + (1 | sample), Pastes, control = precise))

cakes <- data.frame(angle = cake$angle, recipe = as.integer(cake$recipe) - 1,
                    replicate = as.integer(cake$replicate) - 1, temp = cake$temp - 200)
cakes$pair <- cakes$recipe * 15 + cakes$replicate
write("cake", cakes)
of_model("cake", lmer(angle ~ temp + (1 | replicate) + (1 | pair), cakes, control = precise))

set.seed(1)
lectures <- droplevels(subset(InstEval, s %in% sample(levels(s), 300)))
lectures <- data.frame(y = lectures$y, student = as.integer(lectures$s) - 1,
                       lecturer = as.integer(lectures$d) - 1, department = as.integer(lectures$dept) - 1,
                       service = as.integer(lectures$service) - 1)
write("insteval", lectures)
of_model("insteval", lmer(y ~ service + (1 | student) + (1 | lecturer) + (1 | department),
                          lectures, control = precise))

data(Machines, package = "nlme"); data(Oxboys, package = "nlme")
machines <- data.frame(score = Machines$score, worker = as.integer(as.character(Machines$Worker)) - 1,
                       machine = as.integer(Machines$Machine) - 1)
machines$pair <- machines$worker * 3 + machines$machine
machines$b <- as.integer(machines$machine == 1); machines$c <- as.integer(machines$machine == 2)
write("machines", machines)
of_model("machines", lmer(score ~ b + c + (1 | worker) + (1 | pair), machines, control = precise))
boys <- data.frame(height = Oxboys$height, age = as.numeric(Oxboys$age),
                   boy = as.integer(as.character(Oxboys$Subject)) - 1,
                   occasion = as.integer(as.character(Oxboys$Occasion)) - 1)
write("oxboys", boys)
# Slopes within crossed factors.
of_model("oxboys", lmer(height ~ age + (age | boy) + (1 | occasion), boys, control = precise))

herds <- with(cbpp, data.frame(herd = as.integer(herd) - 1, period = as.integer(period) - 1,
                               incidence = incidence, size = size))
write("cbpp", herds)
of_model("cbpp", glmer(cbind(incidence, size - incidence) ~ factor(period) + (1 | herd), herds,
                       family = binomial, control = precise_glmer))
of_model("cbpp_exposure", glmer(incidence ~ factor(period) + offset(log(size)) + (1 | herd), herds,
                                family = poisson, control = precise_glmer))

ticks <- with(grouseticks, data.frame(ticks = TICKS, year = as.integer(as.character(YEAR)) - 95,
  height = (HEIGHT - mean(HEIGHT)) / 100, brood = as.integer(BROOD) - 1,
  index = as.integer(INDEX) - 1, location = as.integer(LOCATION) - 1))
write("grouseticks", ticks)
of_model("grouseticks", glmer(ticks ~ factor(year) + height + (1 | brood) + (1 | index) + (1 | location),
                              ticks, family = poisson, control = precise_glmer))

salamanders <- with(Salamanders, data.frame(count = count, site = as.integer(site) - 1,
  species = as.integer(spp) - 1, mined = as.integer(mined) - 1))
write("salamanders", salamanders)
of_model("salamanders", glmmTMB(count ~ mined + (1 | site) + (1 | species), salamanders, family = nbinom2))

wines <- with(wine, data.frame(rating = as.integer(rating) - 1, warm = as.integer(temp) - 1,
  contact = as.integer(contact) - 1, judge = as.integer(judge) - 1))
write("wine", wines)
tasted <- clmm(rating ~ temp + contact + (1 | judge), wine, control = clmm.control(gradTol = 1e-6))
add("wine", "fixed:1", tasted$beta[1]); add("wine", "fixed:2", tasted$beta[2])
for (k in seq_along(tasted$alpha)) add("wine", paste0("threshold:", k - 1), tasted$alpha[k])
add("wine", "std:judge:0", tasted$ST$judge[1, 1]); add("wine", "log_likelihood", logLik(tasted))

estimates$value <- signif(estimates$value, 9)
write.csv(estimates, "estimates.csv", row.names = FALSE)
