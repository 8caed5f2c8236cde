# Courses of real patients that R packages of Debian hold: mgus2 and myeloid of survival, myeloma of survminer.
# Usage: Rscript resources/courses.R FOLDER; then HAEMOSYNTH_COURSES=FOLDER make run STUDY=config/studies/mgus2.yaml
# Needs: apt-get install r-base-core r-cran-survival r-cran-survminer. Values are not changed but for days to months.
folder <- commandArgs(trailingOnly = TRUE)
if (length(folder) != 1) stop("usage: Rscript courses.R FOLDER")
days <- 30.4375

save <- function(table, name) {
  place <- file.path(folder, name)
  dir.create(place, recursive = TRUE, showWarnings = FALSE)
  write.table(table, file.path(place, "clinical.tsv"), sep = "\t", quote = FALSE, row.names = FALSE, na = "")
  cat(name, ": ", nrow(table), " patients\n", sep = "")
}

if (requireNamespace("survival", quietly = TRUE)) {
  m <- survival::mgus2
  save(data.frame(
    id = sprintf("G%04d", m$id), age = m$age, sex = m$sex, haemoglobin = m$hgb, creatinine = m$creat,
    m_spike = m$mspike, OS_MONTHS = m$futime, OS_STATUS = m$death,
    malignancy_months = ifelse(m$pstat == 1, m$ptime, NA)
  ), "mgus2")
  a <- survival::myeloid
  save(data.frame(
    id = sprintf("L%04d", a$id), arm = a$trt, sex = a$sex, OS_MONTHS = round(a$futime / days, 4),
    OS_STATUS = a$death, cr_months = round(a$crtime / days, 4), tx_months = round(a$txtime / days, 4),
    relapse_months = round(a$rltime / days, 4)
  ), "myeloid")
} else {
  message("the R package survival is missing: mgus2 and myeloid are skipped")
}

if (requireNamespace("survminer", quietly = TRUE)) {
  space <- new.env()
  utils::data("myeloma", package = "survminer", envir = space)
  p <- space$myeloma
  save(data.frame(
    id = rownames(p), molecular_group = p$molecular_group, copies_1q21 = p$chr1q21_status, CCND1 = p$CCND1,
    CRIM1 = p$CRIM1, DEPDC1 = p$DEPDC1, IRF4 = p$IRF4, TP53 = p$TP53, WHSC1 = p$WHSC1,
    EFS_MONTHS = p$time, EFS_STATUS = p$event
  ), "myeloma_survminer")
} else {
  message("the R package survminer is missing: its myeloma cohort is skipped")
}
